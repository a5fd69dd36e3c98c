"""Formats addresses of servers for display, without user and password."""

WITHOUT_CREDENTIALS = ("sqlite", "file")  # schemes in which an @ is part of a path


def without_credentials(address: str) -> str:
    """Remove everything before the last @ of an address, since a password may contain any
    character, and its query, which may contain a password, too."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.partition("+")[0].lower() in WITHOUT_CREDENTIALS:
        return address
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]
