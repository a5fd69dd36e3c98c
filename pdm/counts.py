"""Counts in messages: "1 image", "2,000 images"."""


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number and what it counts.

    Args:
        number: Of things.
        singular: What one of them is called.
        plural: What several are called; by default the singular with an s.
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
