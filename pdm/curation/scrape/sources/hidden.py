"""Names that systems and programs give to files of their own, which nobody means as pictures."""

# In lower case; each beside what leaves it behind. Names that begin with a dot need no list.
HIDDEN_NAMES = frozenset(
    [
        "__macosx",  # zip files made on a Mac
        "icon\r",  # the picture of a folder, on Macs
        "network trash folder",  # Macs on network disks, as the next
        "temporary items",
        "@eadir",  # disk stations of Synology, as the next two
        "#recycle",
        "#snapshot",
        "@recycle",  # of QNAP, as the next
        "@recently-snapshot",
        "$recycle.bin",  # Windows, as those that follow
        "recycler",
        "system volume information",
        "found.000",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "lost+found",  # repairs of a Linux file system
        "__pycache__",
    ]
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is of a kind that file managers hide."""
    return name.startswith(".") or name.lower() in HIDDEN_NAMES
