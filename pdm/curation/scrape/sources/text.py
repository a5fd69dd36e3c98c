"""Text from outside, as files and names can hold it."""

MAX_TEXT_BYTES = 8192  # of a caption, a licence, an author or a class


def clean(text: str | None) -> str | None:
    """Text that any file can hold: no NUL, no half a character, `MAX_TEXT_BYTES` at most."""
    if text is None:
        return None
    encoded = text.replace("\0", "").encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    return encoded.decode("utf-8", "ignore").strip() or None


def one_line(text: str | None) -> str | None:
    """The same on one line: for names."""
    return " ".join((clean(text) or "").split()) or None
