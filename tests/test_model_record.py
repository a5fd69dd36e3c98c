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
