"""Runs img2dataset, and loads large packages only when it uses them, which it hardly does.

    python light_img2dataset.py OPTION ...

img2dataset starts three processes or more. Each imports wandb (to log, which is off) and
albumentations (to resize, which is off): more than half of the time that they take to start. Run as
a file by the Python that img2dataset is installed for; processes that multiprocessing spawns run it
again.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class LoadedWhenUsed(ModuleType):
    """A module that is imported when an attribute of it is first asked for."""

    def __getattr__(self, name: str) -> Any:  # only called for what the empty module lacks
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


if __name__ in ("__main__", "__mp_main__"):  # the latter in processes that multiprocessing spawns
    for rarely_used in ("albumentations", "wandb"):
        sys.modules[rarely_used] = LoadedWhenUsed(rarely_used)

if __name__ == "__main__":
    del sys.path[0]  # this folder, which has an img2dataset.py of its own
    from img2dataset import main

    main()
