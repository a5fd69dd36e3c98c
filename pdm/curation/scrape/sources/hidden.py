"""Names of files and folders that systems and programs create for themselves."""

# In lower case, with what creates them. Names that begin with a dot are always hidden.
HIDDEN_NAMES = frozenset(
    [
        "__macosx",  # zip files made on a Mac
        "icon\r",  # icons of folders on Macs
        "network trash folder",  # Macs on network disks
        "temporary items",
        "@eadir",  # Synology
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "$recycle.bin",  # Windows
        "recycler",
        "system volume information",
        "found.000",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "lost+found",  # file system checks on Linux
        "__pycache__",  # Python
    ]
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or is none of the user's."""
    return name.startswith(".") or name.lower() in HIDDEN_NAMES
