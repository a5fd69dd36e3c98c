"""The line of a params file that an error names, as FILE:LINE."""

import re

import pytest
from shipped_params import SHIPPED

from pdm import params
from pdm.cli import main
from pdm.errors import BadInput
from pdm.params.override import set_values

TEXT = SHIPPED.read_text(encoding="utf-8")
LEVEL = "{downsampling: 8, channels: 8, kl_weight: 1.0e-6}"


def lines_at_fault(path):
    """The text of each line of the file that the refusal names, with what it says of it."""
    with pytest.raises(BadInput) as caught:
        params.load(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"(.*?):(\d+): (.*)", line) for line in str(caught.value).splitlines()]
    assert {match[1] for match in found} == {str(path)}
    return [(lines[int(match[2]) - 1].strip(), match[3]) for match in found]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        # a type, an unknown key, a range of our own, an item of a list, a key in braces
        ("  tolerance: 1.0e-3", "  tolerance: low", "tolerance: low", "sample.tolerance: expected"),
        ("  eta: 0.0", "  eta: 0.0\n  ets: 1", "ets: 1", "sample.ets: unknown key"),
        ("  num_neighbours: 8", "  num_neighbours: -8", "num_neighbours: -8", "evaluate.num_nei"),
        ("    - {network: efficientnet-lite1}", "    - 7", "- 7", "evaluate.features.0"),
        (LEVEL, LEVEL.replace("channels: 8", "channels: x"), "- {downsampling: 8", "autoencoder."),
        # values that must fit each other: the line of the first that is named
        ("  image_width_px: 128", "  image_width_px: 120", "image_width_px: 120", "autoencoder."),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_line(tmp_path, old, new, line, says):
    assert TEXT.count(old) == 1
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new))
    [(found, said)] = lines_at_fault(path)
    assert found.startswith(line)
    assert said.startswith(says)


def test_a_missing_key_is_named_with_the_line_of_its_section(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"\n  eta: .*", "", TEXT))
    assert lines_at_fault(path) == [
        ("sample:", f"sample.eta: missing; `pyramid params upgrade --params {path}` adds it")
    ]


def test_values_from_an_anchor_are_named_with_the_line_of_their_key(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        TEXT.replace("  eta: 0.0", "  eta: &low much").replace("  tile_px: 384", "  tile_px: *low")
    )
    assert [line.split("#")[0].strip() for line, _ in lines_at_fault(path)] == [
        "eta: &low much",
        "tile_px: *low",
    ]


def test_without_a_section_only_the_file_is_named(tmp_path, capsys):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.split("\nevaluate:")[0] + "\n")
    assert main(["params", "check", "--params", str(path)]) == 2
    assert f"error: {path}: evaluate: missing" in capsys.readouterr().err


def test_a_value_of_the_command_line_has_no_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    with pytest.raises(BadInput, match=r"params\.yaml with --set: sample\.eta: expected"):
        set_values(path, ["sample.eta=-1"])
