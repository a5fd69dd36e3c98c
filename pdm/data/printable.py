"""Text of strangers, such as URLs, authors and captions, made safe to print."""


def printable(line: str) -> str:
    """Escape control characters, which could move a terminal's cursor or hide what is above."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
