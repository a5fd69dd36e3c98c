import json
import pickle

import pytest

from pdm.errors import BadInput
from pdm.model_record import record_of


def test_a_value_that_a_model_folder_lacks_is_named_with_its_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"kind": "PyramidUNet"}))
    record = record_of(tmp_path)
    for each in (record, pickle.loads(pickle.dumps(record))):
        assert each["kind"] == "PyramidUNet"
        assert each.get("level_shapes") is None
        with pytest.raises(BadInput, match=rf"{tmp_path}/config\.json has no 'level_shapes'"):
            each["level_shapes"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level_shapes", 3),
        ("level_shapes", [[1, 2]]),
        ("level_shapes", [[1, 2, "x"]]),
        ("image_height_px", "32"),
        ("image_width_px", 0),
    ],
)
def test_a_size_that_is_no_number_above_0_is_named_with_its_value(name, value, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({name: value}))
    with pytest.raises(BadInput) as error:
        record_of(tmp_path)
    assert f"config.json has {name} {json.dumps(value)}, expected a " in str(error.value)
