"""What newer versions call the settings of older ones. One line here for each change of a name.

With it, a params file that still has an old name is refused with the new one, and `pyramid params
upgrade` changes the file; a model whose `config.json` has an old name can still be loaded. Keys are
dotted, as in error messages; `*` stands for any one part (a section, or an item of a list), and the
new name takes over what it stood for, in order. Entries stay for good: users skip versions.
"""

from typing import Any

# old key -> new key
RENAMED_KEYS: dict[str, str] = {}

# key (its new name, if it has one) -> {old value: new value}
RENAMED_VALUES: dict[str, dict[str, Any]] = {
    "sample.guide.kind": {"average": "ema"},
}

# key that is no more -> what the user should know, as the end of a sentence
REMOVED_KEYS: dict[str, str] = {
    "curate.max_drawing": "it limited plain areas; max_drawing_likeness limits a learned score",
}

# New key of a mapping that may be null or is in a list, such as autoencoder.adversarial.* or
# scrape.sources.* -> its value where the mapping is there. Other new keys need no entry:
# pdm/presets/default.yaml has their default.
ADDED_KEYS: dict[str, Any] = {}


def new_key(key: str) -> str | None:
    """What this version calls the key, if it has renamed it."""
    for old, new in RENAMED_KEYS.items():
        stars = match(old, key)
        if stars is not None:
            return _fill(new, stars)
    return None


def new_value(key: str, value: Any) -> Any:
    """What this version calls a key's value, if it has renamed it; else None."""
    for pattern, values in RENAMED_VALUES.items():
        if isinstance(value, str) and match(pattern, key) is not None and value in values:
            return values[value]
    return None


def why_removed(key: str) -> str | None:
    """What to know of a key that is no more; None of others."""
    reasons = (reason for old, reason in REMOVED_KEYS.items() if match(old, key) is not None)
    return next(reasons, None)


def is_added(key: str) -> bool:
    """Whether `ADDED_KEYS` has the key."""
    return any(match(pattern, key) is not None for pattern in ADDED_KEYS)


def match(pattern: str, key: str) -> list[str] | None:
    """What each `*` of the pattern stands for, if the key matches it."""
    wanted, found = pattern.split("."), key.split(".")
    if len(wanted) != len(found):
        return None
    if any(part not in ("*", name) for part, name in zip(wanted, found, strict=True)):
        return None
    return [name for part, name in zip(wanted, found, strict=True) if part == "*"]


def _fill(pattern: str, stars: list[str]) -> str:
    names = iter(stars)
    return ".".join(next(names) if part == "*" else part for part in pattern.split("."))
