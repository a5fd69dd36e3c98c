import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
)
PAGES = [ROOT / name for name in LISTED.stdout.split()]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower())
    return text.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, wanted = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if wanted and target.suffix == ".md":
            lines = target.read_text(encoding="utf-8").splitlines()
            assert wanted in {anchor(line) for line in lines if line.startswith("#")}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_the_marks_of_a_merge_conflict(page):
    assert not re.search("^(<{7}|>{7}) ", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_entry_of_the_log_is_in_its_table_of_topics():
    text = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert len(set(headings)) == len(headings)  # or their anchors would be numbered
    table = {link for link in LINK.findall(text.split("\n## ")[0]) if link.startswith("#")}
    assert table == {f"#{anchor(heading)}" for heading in headings}
