import pytest


@pytest.fixture(autouse=True)
def modules_cache(tmp_path_factory, monkeypatch):
    """diffusers copies a folder's code into a cache, here not that of the user."""
    from diffusers.utils import dynamic_modules_utils

    folder = tmp_path_factory.mktemp("modules")
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(folder))
    monkeypatch.syspath_prepend(str(folder))
