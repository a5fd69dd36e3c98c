"""Addresses of servers for the terminal: without user and password."""

WITHOUT_CREDENTIALS = ("sqlite", "file")  # schemes in which an @ is part of a path


def without_credentials(address: str) -> str:
    """The address without all before its last @, since a password may hold any character, and
    without a query, which may hold one too."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.partition("+")[0].lower() in WITHOUT_CREDENTIALS:
        return address
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]
