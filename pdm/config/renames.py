"""Renamed settings, with one line for each change.

A params file with an old name is refused with the new name, and `pyramid params upgrade` changes
the file. Models whose `config.json` has old names can still be loaded. Keys are dotted, as in error
messages. `*` matches any one part (a section, or an item of a list), and each `*` of the new name
takes over the matched part, in order. Entries are kept forever, since users skip versions.
"""

from typing import Any

# old key -> new key
RENAMED_KEYS: dict[str, str] = {
    "scrape.max_failed_fraction": "scrape.max_failed_share",
    "curate.min_crop_fraction": "curate.min_crop_share",
    "shard.val_fraction": "shard.val_share",
}

# key (its new name, if it has one) -> {old value: new value}
RENAMED_VALUES: dict[str, dict[str, Any]] = {
    "sample.guide.kind": {"average": "ema"},
}

# removed key -> what the user should know, as the end of a sentence
REMOVED_KEYS: dict[str, str] = {
    "curate.max_drawing": "it limited plain areas; max_drawing_likeness limits a learned score",
}

# New key of a mapping that may be null or is in a list, such as autoencoder.adversarial.* or
# scrape.sources.* -> its value if the mapping exists. Other new keys need no entry:
# pdm/presets/default.yaml has their default.
ADDED_KEYS: dict[str, Any] = {}


def new_key(key: str) -> str | None:
    """Return the new name of a key, if it was renamed."""
    for old, new in RENAMED_KEYS.items():
        stars = match(old, key)
        if stars is not None:
            return _fill(new, stars)
    return None


def new_value(key: str, value: Any) -> Any:
    """Return the new name of a key's value, if it was renamed; otherwise None."""
    for pattern, values in RENAMED_VALUES.items():
        if isinstance(value, str) and match(pattern, key) is not None and value in values:
            return values[value]
    return None


def why_removed(key: str) -> str | None:
    """Return what to know about a removed key; None for other keys."""
    reasons = (reason for old, reason in REMOVED_KEYS.items() if match(old, key) is not None)
    return next(reasons, None)


def is_added(key: str) -> bool:
    """Whether `ADDED_KEYS` has the key."""
    return any(match(pattern, key) is not None for pattern in ADDED_KEYS)


def match(pattern: str, key: str) -> list[str] | None:
    """Return the part that each `*` matches, if the key matches the pattern."""
    wanted, found = pattern.split("."), key.split(".")
    if len(wanted) != len(found):
        return None
    if any(part not in ("*", name) for part, name in zip(wanted, found, strict=True)):
        return None
    return [name for part, name in zip(wanted, found, strict=True) if part == "*"]


def _fill(pattern: str, stars: list[str]) -> str:
    names = iter(stars)
    return ".".join(next(names) if part == "*" else part for part in pattern.split("."))
