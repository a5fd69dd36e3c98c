"""Files of a user that are missing, or are folders: one line names the file and what to do."""

from functools import partial

import pytest

from pdm.errors import BadInput
from pdm.inference.pictures.paint import read_map
from pdm.inference.pictures.read import open_image, read_image
from pdm.inference.prompts import read_prompt_file

READERS = {
    "picture": (read_image, "image"),
    "mask": (open_image, "image"),
    "map": (partial(read_map, names=("sea", "sky")), "image"),
    "prompts": (partial(read_prompt_file, key="--prompts"), "text"),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["nothere", "folder"])
def test_what_cannot_be_read_is_named_with_what_to_do(kind, name, tmp_path):
    (tmp_path / "folder").mkdir()
    read, wanted = READERS[kind]
    with pytest.raises(BadInput) as caught:
        read(tmp_path / name)
    said = str(caught.value)
    assert str(tmp_path / name) in said
    assert f"; name a{'n' if wanted == 'image' else ''} {wanted} file" in said
    assert "Errno" not in said
