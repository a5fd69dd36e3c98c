"""Fixtures that load invalid params."""

import copy
import re

import pytest
import yaml
from dvc.utils.serialize import dump_yaml
from shipped_params import SHIPPED

from pdm import params
from pdm.errors import BadInput


@pytest.fixture
def refused(tmp_path):
    """Writes the shipped values with a change, loads them, and gives the text of the refusal."""

    def refused(change):
        values = copy.deepcopy(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
        change(values)
        path = tmp_path / "params.yaml"
        dump_yaml(path, values)
        with pytest.raises(BadInput) as caught:
            params.load(path)
        return re.sub(rf"{re.escape(str(path))}(:\d+)?: ", "", str(caught.value))

    return refused


@pytest.fixture
def refused_text(tmp_path):
    """Loads a file of this content and gives the text of the refusal."""

    def refused_text(content):
        path = tmp_path / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadInput) as caught:
            params.load(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    return refused_text
