"""The sentences that explain reasons."""

import ast
import re
from pathlib import Path

from pdm import curation
from pdm.curation.shard.report.reasons import NOT_FETCHED, NOT_KEPT, explain_reason, sort_reasons

# Functions that take a reason, and the number of that argument.
TAKES_REASON = {
    "FetchError": 1,
    "dropped": 0,
    "failed": 0,
    "Drop": 0,
    "_below": 3,
    "_above": 3,
    "_faulty_row": 1,
}
NOT_WORDS = {"http_404"}  # the code gives http_ with any status


def reasons_in_code():
    found = set()
    for path in Path(curation.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                place = TAKES_REASON.get(getattr(node.func, "id", ""))
                argument = (
                    node.args[place] if place is not None and len(node.args) > place else None
                )
                found |= {argument.value} if isinstance(argument, ast.Constant) else set()
            elif isinstance(node, ast.FunctionDef) and node.name == "_reason":  # of an exception
                found |= {
                    each.value.value
                    for each in ast.walk(node)
                    if isinstance(each, ast.Return) and isinstance(each.value, ast.Constant)
                }
    return found


def test_every_reason_that_the_code_gives_is_explained():
    reasons = reasons_in_code()
    assert {"reset", "dns", "hidden", "near_duplicate", "border", "decoder_crash"} <= reasons
    assert [reason for reason in sorted(reasons) if not explain_reason(reason)] == []


def test_every_explained_reason_is_given_by_the_code():
    sources = (Path(curation.__file__).parents[1]).rglob("*.py")
    code = "\n".join(path.read_text() for path in sources if path.name != "reasons.py")
    explained = {*NOT_FETCHED, *NOT_KEPT} - NOT_WORDS
    assert [name for name in sorted(explained) if not re.search(f'"{name}"', code)] == []


def test_reasons_are_sorted_by_the_order_of_the_checks():
    assert sort_reasons({"dark", "other", "reset", "dns"}) == ["dns", "reset", "dark", "other"]
