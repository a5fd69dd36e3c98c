import json

import pytest
from shared.version_numbers import FOLDER, WRITE, assert_numbers_of_version

from pdm.versions import versions

KEPT = {"loss": 0.5, "grad_norm": 2.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(WRITE, "1")
    assert_numbers_of_version("autoencoder", KEPT, 3, tmp_path)
    monkeypatch.delenv(WRITE)
    return tmp_path


def test_equal_numbers_pass_and_so_do_those_of_another_processor(folder):
    assert_numbers_of_version("autoencoder", KEPT, 3, folder)
    assert_numbers_of_version("autoencoder", {"loss": 0.50001, "grad_norm": 1.99999}, 3, folder)


@pytest.mark.parametrize(
    "found", [{"loss": 0.501, "grad_norm": 2.0}, {"loss": 0.5}, {**KEPT, "new": 1.0}]
)
@pytest.mark.parametrize("write", ["0", "1"])
def test_other_numbers_under_the_same_version_fail_and_say_what_to_raise(
    folder, found, write, monkeypatch
):
    monkeypatch.setenv(WRITE, write)
    with pytest.raises(
        pytest.fail.Exception, match=r"raise autoencoder to 4 in pdm/versions\.yaml"
    ):
        assert_numbers_of_version("autoencoder", found, 3, folder)
    assert json.loads((folder / "autoencoder.json").read_text())["numbers"] == KEPT


def test_a_raised_version_wants_its_numbers_written(folder, monkeypatch):
    with pytest.raises(pytest.fail.Exception, match="write those of the new one"):
        assert_numbers_of_version("autoencoder", {"loss": 0.1}, 4, folder)
    monkeypatch.setenv(WRITE, "1")
    assert_numbers_of_version("autoencoder", {"loss": 0.1}, 4, folder)
    monkeypatch.delenv(WRITE)
    assert_numbers_of_version("autoencoder", {"loss": 0.1}, 4, folder)


def test_every_version_has_its_numbers():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(versions())
