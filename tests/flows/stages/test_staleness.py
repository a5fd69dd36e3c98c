"""Why DVC would run a stage again."""

import shutil
from pathlib import Path

from toy_project import bring_up_to_date

from flows.stages.staleness import staleness


def change(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_a_stage_that_never_ran_is_not_run_again(toy):
    assert staleness("first") is None


def test_a_stage_that_is_up_to_date_is_not_run_again(done):
    assert staleness("first") is None
    Path("params.yaml").write_text("# a remark\n" + Path("params.yaml").read_text())
    assert staleness("first") is None


def test_each_changed_value_is_named_old_and_new(done):
    change("params.yaml", "{value: 2}", "{more: {list: [1, 2]}}")
    assert staleness("second").reasons == (
        "second.value (2 -> none)",
        "second.more.list (none -> [1, 2])",
    )
    assert staleness("first") is None


def test_other_causes_are_named_too(done):
    change("dvc.yaml", "python second.py", "python  second.py")
    Path("one.txt").write_text("2")
    reasons = staleness("second").reasons
    assert reasons[0] == "its command in dvc.yaml"
    assert reasons[1].startswith("one.txt (c4ca4238 -> ")  # md5
    Path("one.txt").unlink()
    assert "one.txt is missing" in str(staleness("second"))


def test_another_file_of_params_is_named(done):
    Path("versions.yaml").write_text("first: 1\n")
    change("dvc.yaml", "params: [first]", "params: [first, versions.yaml: [first]]")
    bring_up_to_date()
    Path("versions.yaml").write_text("first: 2\n")
    assert str(staleness("first")) == "first in versions.yaml (1 -> 2)"


def test_many_reasons_are_counted(done):
    change("params.yaml", "{value: 1}", "{a: 1, b: 2, c: 3, d: 4, e: 5}")
    assert str(staleness("first")).endswith(" and 2 more")


def test_outputs_in_dvcs_cache_are_restored_and_not_computed_again(done):
    change("params.yaml", "first: {value: 1}", "first: {value: 9}")
    assert staleness("first")
    bring_up_to_date()
    change("params.yaml", "first: {value: 9}", "first: {value: 1}")
    assert staleness("first") is None
    Path("one.txt").unlink()
    assert staleness("first") is None
    shutil.rmtree(".dvc/cache")
    assert staleness("first").missing == ("one.txt",)


def test_outputs_that_only_the_workspace_has_are_named(done):
    change("params.yaml", "{value: 2}", "{value: 3}")
    assert staleness("second").unsaved == ()
    Path("page.html").write_text("mine")
    found = staleness("second")
    assert found.unsaved == ("page.html",)
    assert "page.html was changed after the stage wrote it" in found.reasons
    Path("dvc.lock").unlink()
    assert set(staleness("second").unsaved) == {"page.html", "two"}
