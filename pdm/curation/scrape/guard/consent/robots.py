"""robots.txt (RFC 9309): which paths of a host we may fetch.

Groups for `pyramid-diffusion` or `img2dataset` apply; if there are none, those for `*`. The longest
matching pattern decides, Allow before Disallow; `*` and `$` are supported.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from pdm.curation.scrape.guard.consent.opt_outs import AGENT

MAX_BYTES = 500 * 1024  # the least that RFC 9309 asks a parser to read; the rest is ignored
_OUR_NAMES = (AGENT, "img2dataset")
MAX_RULES = 5000


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """The rules of one host that apply to us."""

    rules: tuple[tuple[bool, str], ...]  # (allowed, pattern)

    def allows(self, url: str) -> bool:
        """Whether a URL of the host may be fetched."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path = _normalise_path(target)
        matching = [
            (len(pattern), allowed) for allowed, pattern in self.rules if _matches(pattern, path)
        ]
        return max(matching, default=(0, True))[1]


def parse_robots(text: str) -> RobotsRules:
    """The rules of a robots.txt that apply to us. Lines that are not rules are skipped."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    names: list[str] = []
    rules_began = False
    for line in text.removeprefix("\ufeff").splitlines():
        field, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        field = field.lower()
        if field == "user-agent":
            if rules_began:
                names, rules_began = [], False
            names.append(value.lower().partition("/")[0])
            groups.setdefault(names[-1], [])
        elif field in ("allow", "disallow"):
            rules_began = True
            for name in names:
                if value:  # an empty Disallow forbids nothing
                    groups[name].append((field == "allow", _normalise_path(value)))
    ours = [rule for name in _OUR_NAMES for rule in groups.get(name, [])]
    if not any(name in groups for name in _OUR_NAMES):
        ours = groups.get("*", [])
    return RobotsRules(tuple(ours[:MAX_RULES]))


def _normalise_path(path: str) -> str:
    """One percent-encoding for equivalent paths."""
    return quote(unquote(path, errors="surrogateescape"), safe="/*$?&=%", errors="surrogateescape")


def _matches(pattern: str, path: str) -> bool:
    """Whether a pattern matches the start of a path, in time linear in their lengths."""
    at_end = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not others:
        return not at_end or path == first
    position = len(first)
    last = others.pop() if at_end else ""
    for piece in others:
        found = path.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(path) - len(last) >= position and path.endswith(last)
