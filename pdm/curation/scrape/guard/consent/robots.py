"""robots.txt (RFC 9309): which paths a host forbids to us.

Groups for `pyramid-diffusion` or `img2dataset` hold, those for `*` if there are none. The longest
pattern that fits decides, Allow before Disallow; `*` and `$` have their meaning.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from pdm.curation.scrape.guard.consent.opt_outs import AGENT

MAX_BYTES = 500 * 1024  # what RFC 9309 asks a reader to take in; the rest is ignored
_OUR_NAMES = (AGENT, "img2dataset")
MAX_RULES = 5000


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one host, for us."""

    rules: tuple[tuple[bool, str], ...]  # (allowed, pattern)

    def allows(self, url: str) -> bool:
        """Whether a URL of the host may be fetched."""
        parts = urlsplit(url)
        path = _encoded(parts.path or "/") + (f"?{_encoded(parts.query)}" if parts.query else "")
        fitting = [
            (len(pattern), allowed) for allowed, pattern in self.rules if _fits(pattern, path)
        ]
        return max(fitting, default=(0, True))[1]


def parse(text: str) -> Robots:
    """The rules for us in a robots.txt. What is not understood is skipped."""
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
                    groups[name].append((field == "allow", _encoded(value)))
    ours = [rule for name in _OUR_NAMES for rule in groups.get(name, [])]
    if not any(name in groups for name in _OUR_NAMES):
        ours = groups.get("*", [])
    return Robots(tuple(ours[:MAX_RULES]))


def _encoded(path: str) -> str:
    """One spelling for paths that mean the same."""
    return quote(unquote(path, errors="surrogateescape"), safe="/*$?&=%", errors="surrogateescape")


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern fits the start of a path, in time that grows with their lengths only."""
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
