"""Headers by which a server forbids the use of a picture.

`X-Robots-Tag` with one of `DIRECTIVES`, addressed to everyone or to us, and `TDM-Reservation: 1`
(W3C TDM Reservation Protocol). A tag that names another robot, such as `googlebot: noindex`, does
not concern us.
"""

from email.message import Message

AGENT = "pyramid-diffusion"
DIRECTIVES = frozenset(["noai", "noimageai", "noml", "noindex", "noimageindex", "none"])
_OUR_NAMES = frozenset(["*", AGENT, "img2dataset"])
# Directives with a value also have a colon, but name no robot.
_WITH_VALUE = frozenset(
    ["max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"]
)


def find_opt_out(headers: Message) -> str | None:
    """The header that forbids the use, such as "X-Robots-Tag: noai", or None."""
    for value in headers.get_all("X-Robots-Tag", []):
        directive = _forbidding_directive(value)
        if directive:
            return f"X-Robots-Tag: {directive}"
    if any(value.strip() == "1" for value in headers.get_all("TDM-Reservation", [])):
        return "TDM-Reservation: 1"
    return None


def _forbidding_directive(value: str) -> str | None:
    agent = None
    for piece in value.lower().split(","):
        name, colon, rest = (part.strip() for part in piece.partition(":"))
        if name in _WITH_VALUE:
            continue
        agent, directive = (name, rest) if colon else (agent, name)
        if directive in DIRECTIVES and (agent is None or agent in _OUR_NAMES):
            return directive
    return None
