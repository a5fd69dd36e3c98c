"""Files that are not valid params files, as people and programs write them."""

import pytest
from shipped_params import SHIPPED

from pdm import params
from pdm.errors import BadInput


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(BadInput, match="does not exist; run this from the project's folder"):
        params.load(tmp_path / "params.yaml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(
        BadInput, match=r"cannot be read \(is a directory\); name a params file with --params"
    ):
        params.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "sample:\n\tsteps: 25\n",
        "sample: {steps: 25\n",
        "sample: 'unclosed\n",
        b"sample: \xff\xfe\n",
        "sample: \x00\n",
        "<<<<<<< HEAD\nsample: 1\n=======\nsample: 2\n>>>>>>> branch\n",
        "sample:\n<<<<<<< HEAD\n  steps: 1\n=======\n  steps: 2\n>>>>>>> branch\n",
        "sample: !!python/object/apply:os.system ['true']\n",
        "sample: *missing\n",
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line(refused_text, content):
    text = refused_text(content)
    assert "is not valid YAML" in text
    assert "\n" not in text


def test_merge_conflict_markers_are_called_by_their_name(refused_text):
    text = refused_text("sample:\n<<<<<<< HEAD\n  steps: 1\n=======\n  steps: 2\n>>>>>>> branch\n")
    assert "line 2" in text
    assert "merge conflict" in text


@pytest.mark.parametrize("content", ["", "# steps: 7\n", "null\n"])
def test_a_file_without_values_is_refused_with_what_to_do(refused_text, content):
    assert "has no values; restore it, or write one with `pyramid preset" in refused_text(content)


@pytest.mark.parametrize(("content", "kind"), [("- a\n", "list"), ("7", "int")])
def test_what_is_no_mapping_is_refused(refused_text, content, kind):
    assert f"expected a mapping of sections, got {kind}" in refused_text(content)


@pytest.mark.parametrize("content", ["? [a, b]\n: 1\n", "? {a: 1}\n: 1\n", "sample: {[1]: 2}\n"])
def test_a_key_that_is_not_text_is_refused(refused_text, content):
    assert "is not text" in refused_text(content)


def test_a_value_that_holds_itself_is_refused(refused_text):
    assert "contains itself" in refused_text("sample: &a {steps: *a}\n")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SHIPPED.read_bytes())
    assert params.load(path) == params.load(SHIPPED)


def test_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(SHIPPED.read_bytes().replace(b"\n", b"\r\n"))
    assert params.load(path) == params.load(SHIPPED)
