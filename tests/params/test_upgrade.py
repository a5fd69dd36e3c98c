"""`pyramid params upgrade`: older params files become files of this version."""

import re
from pathlib import Path

import pytest
import yaml

from pdm import cli, params
from pdm.config import renames
from pdm.errors import BadInput
from pdm.params.keys import all_keys, find_key, in_default
from pdm.params.upgrade import upgrade
from pdm.presets import DEFAULT

ROOT = Path(__file__).parents[2]
TEXT = DEFAULT.read_text(encoding="utf-8")


@pytest.fixture
def upgraded(tmp_path, capsys):
    """Runs the command on a file of this text; gives the new text, and what the command said."""

    def upgraded(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        assert cli.main(["params", "upgrade", "--params", str(path)]) == 0
        said = capsys.readouterr().out.replace(f"{path}: ", "").splitlines()
        return path.read_text(encoding="utf-8"), said

    return upgraded


def without(text, *keys):
    lines = text.splitlines(True)
    kept = [line for line in lines if not line.strip().startswith(tuple(f"{key}:" for key in keys))]
    assert len(kept) < len(lines)
    return "".join(kept)


def refusal(text):
    with pytest.raises(BadInput) as caught:
        params.parse(text, Path("params.yaml"))
    return str(caught.value)


# what this version has


def test_a_file_of_this_version_stays_as_it_is(upgraded):
    text, said = upgraded(TEXT)
    assert text == TEXT
    assert said == ["already has all keys of this version"]


def test_a_new_key_gets_its_default_its_comment_and_its_place(upgraded):
    text, said = upgraded(without(TEXT, "strategy", "eta"))
    assert text == TEXT
    assert said == [
        "added autoencoder.training.strategy: ddp",
        "added diffusion.training.strategy: ddp",
        "added sample.eta: 0.0",
    ]


@pytest.mark.parametrize("key", yaml.safe_load(TEXT))
def test_a_missing_section_comes_back(key, upgraded):
    begin = TEXT.index(f"\n{key}:") + 1
    end = next((at for at in range(begin, len(TEXT)) if TEXT.startswith("\n\n", at)), len(TEXT))
    text, said = upgraded(TEXT[:begin] + TEXT[end + 2 :])
    assert yaml.safe_load(text) == yaml.safe_load(TEXT)
    assert list(yaml.safe_load(text)) == list(yaml.safe_load(TEXT))
    assert len(said) == 1


KEYS = [key.name for key in all_keys() if "." in key.name and in_default(key.name)]


@pytest.mark.parametrize("start", range(5))
def test_every_key_that_is_missing_comes_back(start):
    values = yaml.safe_load(TEXT)
    gone = []
    for name in KEYS[start::5]:
        *parents, last = name.split(".")
        section = values
        for part in parents:
            section = section.get(part, {})
        if section.pop(last, None) is not None:
            gone.append(name)
    text, changes = upgrade(yaml.safe_dump(values, sort_keys=False), TEXT)
    assert yaml.safe_load(text) == yaml.safe_load(TEXT)
    added = [change.removeprefix("added ").partition(":")[0] for change in changes]
    assert set(gone) <= set(added)
    assert upgrade(text, TEXT) == (text, [])


def test_the_users_values_comments_and_order_stay(upgraded):
    mine = """\
# my data
sample: # first, since I look here first
    seed: 7   # lucky
    # more of them
    num_images: 64
scrape:
    sources:
      - {kind: folder, path: pictures} # holidays
"""
    text, _ = upgraded(mine)
    for line in mine.splitlines():
        assert line in text.splitlines()
    assert list(yaml.safe_load(text))[:2] != ["scrape", "curate"]
    loaded = params.parse(text, Path("params.yaml"))
    assert (loaded.sample.seed, loaded.sample.num_images) == (7, 64)
    assert loaded.scrape.sources[0].path == "pictures"


def test_a_missing_key_names_the_command():
    said = refusal(without(TEXT, "eta"))
    line = TEXT.splitlines().index("sample:") + 1
    assert said == f"params.yaml:{line}: sample.eta: missing; `pyramid params upgrade` adds it"


def test_what_still_does_not_fit_is_said_afterwards(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(without(TEXT, "eta").replace("steps: 40", "steps: null\n  hue: red"))
    assert cli.main(["params", "upgrade", "--params", str(path)]) == 2
    written = capsys.readouterr()
    assert "added sample.eta" in written.out
    assert "sample.steps" in written.err
    assert "sample.hue: unknown key" in written.err
    assert "eta: 0.0" in path.read_text()


# what was renamed


@pytest.fixture
def renamed(monkeypatch):
    """A history of names, as if older versions had had other ones."""
    history = {
        "*.training.averages": "*.training.ema_lengths",
        "sample.number": "sample.num_images",
        "evaluate.clip_px": "sample.tile_px",
        "autoencoder.model.levels.*.kl": "autoencoder.model.levels.*.kl_weight",
    }
    monkeypatch.setattr(renames, "RENAMED_KEYS", history)
    monkeypatch.setattr(renames, "RENAMED_VALUES", {"sample.sampler": {"ab2": "multistep"}})
    monkeypatch.setattr(renames, "REMOVED_KEYS", {"sample.hue": "pictures have all hues"})
    monkeypatch.setattr(renames, "ADDED_KEYS", {"autoencoder.adversarial.width": 16})


OLD = (
    TEXT.replace("  ema_lengths:", "  averages:")
    .replace("  num_images:", "  number:")
    .replace("kl_weight:", "kl:")
    .replace("  sampler: multistep", "  hue: red # mine\n  sampler: ab2")
)


@pytest.mark.usefixtures("renamed")
def test_old_names_become_new_ones_in_their_places(upgraded):
    text, said = upgraded(OLD)
    assert text == TEXT
    assert "renamed diffusion.training.averages to diffusion.training.ema_lengths" in said
    assert "changed sample.sampler: ab2 is now multistep" in said
    assert "removed sample.hue: pictures have all hues" in said


@pytest.mark.usefixtures("renamed")
def test_an_old_name_is_refused_with_its_new_one():
    said = re.sub(r"params.yaml:\d+: ", "", refusal(OLD)).splitlines()
    assert sorted(said) == [
        *(
            f"autoencoder.model.levels.{level}.kl: is now called "
            f"autoencoder.model.levels.{level}.kl_weight; `pyramid params upgrade` renames it"
            for level in range(5)
        ),
        "autoencoder.training.averages: is now called "
        "autoencoder.training.ema_lengths; `pyramid params upgrade` renames it",
        "diffusion.training.averages: is now called "
        "diffusion.training.ema_lengths; `pyramid params upgrade` renames it",
        "sample.hue: is no longer a key: pictures have all hues; "
        "`pyramid params upgrade` removes it",
        "sample.number: is now called sample.num_images; `pyramid params upgrade` renames it",
        "sample.sampler: 'ab2' is now called 'multistep'; `pyramid params upgrade` renames it",
    ]


@pytest.mark.usefixtures("renamed")
def test_a_key_may_move_to_another_section(upgraded):
    old = without(TEXT, "tile_px").replace("\nevaluate:\n", "\nevaluate:\n  clip_px: 512\n")
    text, said = upgraded(old)
    assert text == TEXT.replace("tile_px: 384", "tile_px: 512")
    assert said == ["renamed evaluate.clip_px to sample.tile_px"]


@pytest.mark.usefixtures("renamed")
def test_the_new_name_wins_where_both_are_there(upgraded):
    text, said = upgraded(TEXT.replace("  num_images:", "  number: 3\n  num_images:"))
    assert text == TEXT
    assert said == ["removed sample.number, since sample.num_images is there already"]


@pytest.mark.usefixtures("renamed")
def test_a_mapping_that_may_be_null_gets_new_keys_where_it_is_there(upgraded):
    old = "".join(
        line for line in TEXT.splitlines(keepends=True) if not line.startswith("    width: ")
    )
    assert old != TEXT
    assert "adversarial.width: missing; `pyramid params upgrade`" in refusal(old)
    text, said = upgraded(old)
    assert said == ["added autoencoder.adversarial.width: 16"]
    assert params.parse(text, Path("x")).autoencoder.adversarial.width == 16


def test_the_table_leads_to_keys_that_there_are():
    for old, new in renames.RENAMED_KEYS.items():
        assert old.count("*") == new.count("*"), old
        assert not {key.name for key in all_keys()} & {old}, old
        final = renames.new_key(new) or new
        assert any(renames.match(final, key.name) is not None for key in all_keys()), new
    for key in (*renames.RENAMED_VALUES, *renames.ADDED_KEYS):
        assert any(renames.match(key, known.name) is not None for known in all_keys()), key
    assert not [key for key in renames.REMOVED_KEYS if find_key(key)]
