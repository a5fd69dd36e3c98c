import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from compared_runs import SCORE, run, write_run
from PIL import Image

from pdm import cli
from pdm.comparison.chart import MAX_POINTS, charts
from pdm.comparison.compare import compare
from pdm.comparison.folders import read
from pdm.comparison.numbers import cost
from pdm.comparison.page import write_page
from pdm.errors import BadInput


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(Path("one"), 3.0)
    write_run(Path("two"), 4.0, rate=0.2)
    return ["one", "two"]


def page_of(names, **options):
    text = compare(names, output=Path("reports/page.html"), **options)
    return text, Path("reports/page.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Attributes of all elements, and the tags that are open at the end."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_and_the_table_show_scores_differences_and_costs(folders):
    text, page = page_of(folders)
    for shown in (text, page):
        for word in ("Fréchet", "diffusion.rate", "0.2", "1:02:05", "3 PFLOP", "one", "two"):
            assert word in shown
    assert re.search(r"Fréchet distance of the samples ↓ +3 poor \* \[.*\] +4 poor \[", text)
    assert page.count('<span class="win">winner</span> <b>3</b>') == 1
    assert "evaluate.seed" not in page  # equal in both
    assert "cccccccccccc" not in page


def test_the_difference_of_two_runs_stands_with_its_interval_and_verdict(folders):
    text, page = page_of(folders)
    assert re.search(r"one minus two +-1 +\[-1\.\d+, -0\.\d+\] +one is better", text)
    assert "one</span> is better" in page
    assert "* better than all others beyond chance" in text
    write_run(Path("near"), 3.01)
    text, page = page_of(["one", "near"])
    assert re.search(r"one minus near +-0\.01 +\[-0\.\d+, 0\.\d+\] +not beyond chance", text)
    assert "no difference beyond chance" in page
    assert "*" not in text


def test_runs_scored_by_other_settings_have_no_verdict_anywhere(folders):
    for name, count in (("one", 64), ("two", 32)):
        Path(name, "params.yaml").write_text(f"evaluate: {{num_features: {count}}}\n")
    for shown in (" ".join(each.split()) for each in page_of(folders)):
        assert "there is no winner" in shown
        assert "one minus two" not in shown
        assert "first minus second" not in shown
        assert "</span> is better<" not in shown


def test_runs_that_the_terminal_has_no_room_for_follow_below(folders):
    names = [*folders, *(str(write_run(Path(f"run{number}"), 5.0 + number)) for number in range(6))]
    text, _ = page_of(names, width=80)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    heads = [line.split()[2:] for line in lines if line.startswith("headline score")]
    assert len(heads) > 1
    assert [name for head in heads for name in head] == names
    assert sum("Fréchet distance of the samples ↓" in line for line in lines) == len(heads)
    assert "... and 21 more pairs on the page" in text


def test_brackets_in_the_name_of_a_run_stay(folders):
    write_run(Path("three[bold]"), 5.0)
    text, _ = page_of(["one", "three[bold]"])
    assert text.count("three[bold]") >= 3


def test_a_run_alone_is_shown_without_words_on_winners(folders):
    text, page = page_of(["one"])
    assert "<title>one</title>" in page
    assert "winner" not in page.partition("</style>")[2]
    assert "What differs" not in page
    assert "beyond chance" not in text


def test_the_page_opens_on_the_headline_scores_and_folds_the_rest(folders):
    _, page = page_of(folders)
    opened, folded = page.split("<details>", 1)
    assert "Fréchet distance of the samples" in opened
    assert '<span class="win">winner</span> <span class="word poor">poor</span> <b>3</b>' in opened
    assert "floor 0.2" in opened
    assert re.search(r"reconstruction, PSNR in dB.*poor.*20.*floor 24\.2", opened, re.DOTALL)
    assert f'scope="row">{SCORE}' not in opened
    assert f'scope="row">{SCORE}' in folded


def test_the_page_needs_nothing_else_and_is_whole(folders):
    _, page = page_of(folders)
    elements = Elements(page)
    assert elements.open == []
    for tag, attributes in elements.found:
        assert tag not in ("link", "iframe", "base")
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/"))
    policy = next(a["content"] for t, a in elements.found if "content" in a and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "http://" not in page
    assert "https://" not in page


def test_pictures_of_a_seed_stand_in_one_row(folders):
    write_run(Path("three"), 5.0, seeds=(1, 2))
    _, page = page_of([*folders, "three"])
    rows = re.findall(r'data-seed="(\d+)"(.*?)</div>', page, re.DOTALL)
    assert [seed for seed, _ in rows] == ["0", "1", "2"]
    assert [row.count("<img") for _, row in rows] == [2, 3, 1]
    assert [row.count("not drawn") for _, row in rows] == [1, 0, 2]


def test_pictures_wider_than_webp_allows_are_reduced_on_the_page(folders):
    noise = np.random.default_rng(0).integers(0, 256, (32, 16_500, 3), np.uint8)
    Image.fromarray(noise).save("one/samples/000000.png")
    _, page = page_of(folders)
    [content] = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.width == 4096
    assert 'width="16500"' in page


def test_runs_on_other_data_are_reported_and_have_no_winner(folders):
    write_run(Path("old"), 9.0, version="e" * 64)
    text, page = page_of(["one", "old"])
    assert "different versions of the data" in text
    assert "Scored on one version" not in page
    assert "winner</span> <b>" not in page
    assert "*" not in text
    assert '<span class="win">winner</span> <span' not in page


def test_equal_runs_give_equal_bytes(folders):
    assert page_of(folders) == page_of(folders)


def test_names_are_escaped(folders):
    write_run(Path("<img src=x>"), 5.0)
    _, page = page_of(["one", "<img src=x>"])
    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;" in page


def test_a_folder_without_a_run_is_named_with_what_is_missing(folders):
    Path("empty").mkdir()
    with pytest.raises(BadInput, match=r"empty has no results: neither metrics\.json nor plots"):
        page_of(["empty"])


def test_a_run_without_scores_stands_on_the_page_with_its_curves(folders):
    Path("two/metrics.json").unlink()
    text, page = page_of(folders)
    assert "two has no scores" in text
    assert page.count("<polyline") == 2


@pytest.mark.parametrize("path", ["metrics.json", "plots/evaluation/replicates.json"])
def test_a_damaged_file_is_named(folders, path):
    (Path("two") / path).write_text("{")
    with pytest.raises(BadInput, match=f"two/{path} cannot be read"):
        page_of(folders)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (
            "samples/samples.json",
            b'{"samples": 3}',
            "is not a list of samples .*run the stage 'sam",
        ),
        ("samples/000000.png", b"no image", "cannot be read .*run the stage 'sample' again"),
        ("samples/samples.json", b'{"samples": [{"file": "0.png"}]}', "is not a list of samples"),
        ("samples/samples.json", b"[]", "is not a mapping; run the stage 'sample' again"),
        (
            "plots/diffusion.csv",
            b"images_seen,loss\n1,\xff\n",
            "is not a table .*'diffusion' again",
        ),
        ("plots/autoencoder.csv", b"images_seen,loss\n1,2,3\n", "is not a table .*autoencoder"),
    ],
)
def test_a_file_of_another_kind_is_named_with_its_stage(folders, path, content, message):
    (Path("two") / path).write_bytes(content)
    with pytest.raises(BadInput, match=f"two/{path} {message}"):
        page_of(folders)


def test_a_run_named_twice_or_too_many_runs_are_refused(folders):
    with pytest.raises(BadInput, match=r"the run .*one is named twice"):
        page_of(["one", "one"])
    names = [str(write_run(Path(f"run{number}"), 3.0)) for number in range(9)]
    with pytest.raises(BadInput, match="9 runs are too many"):
        page_of(names)


def test_runs_are_named_or_looked_for_but_not_both(folders):
    with pytest.raises(BadInput, match="give either names of runs, or --experiment and --best"):
        page_of(folders, num_best=2)


def test_without_a_database_an_unknown_run_is_reported(folders, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/none.db")
    assert cli.main(["compare", "abcdef"]) == 2
    assert "none.db does not exist; run the pipeline first" in capsys.readouterr().err
    assert not Path("none.db").exists()


def test_long_curves_are_thinned_and_keep_their_last_value(folders):
    rows = "\n".join(f"{step},{1 + 1 / step}" for step in range(1, 10001))
    Path("one/plots/diffusion.csv").write_text(f"images_seen,loss\n{rows}\n")
    [chart] = charts([read(Path("one"))])
    assert len(chart.lines[0].points.split()) <= MAX_POINTS + 2
    assert chart.lines[0].last == 1.0001


def test_a_curve_of_one_value_is_drawn(folders):
    run = read(write_run_with_curve("images_seen,loss\n10,0.5\n20,0.5\n"))
    assert charts([run])[0].lines[0].last == 0.5


def write_run_with_curve(text):
    folder = Path("flat")
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    (folder / "plots" / "diffusion.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("wall_seconds", 3725.4, "1:02:05"),
        ("cpu_hours", 0.0123456, "0.0123"),
        ("images_seen", 64000.0, "64,000"),
        ("parameters", 4_100_000.0, "4.1 M"),
        ("training_flops", 2.5e15, "2.5 PFLOP"),
    ],
)
def test_costs_have_units(name, value, expected):
    assert cost(name, value) == expected


def test_scores_of_several_sizes_have_a_table_of_their_own(tmp_path):
    sizes = {"512x384": 3.0, "384x512": 5.0, "mean": 4.0}
    scores = {f"by_size/{size}/{SCORE}": value for size, value in sizes.items()}
    runs = [run(name, 3.0, scores={SCORE: 3.0} | scores) for name in ("one", "two")]
    write_page(runs, tmp_path / "page.html")
    table = (
        (tmp_path / "page.html").read_text().partition('id="by-size"')[2].partition("</table>")[0]
    )
    for size, value in sizes.items():
        assert size in table
        assert f"<b>{value:g}" in table
    write_page([run("one", 3.0)], tmp_path / "page.html")
    assert 'id="by-size"' not in (tmp_path / "page.html").read_text()
