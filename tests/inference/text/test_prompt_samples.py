"""What the stage `sample` draws of prompts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shades import CAPTIONS, GREYS, SPLITS, UNCONDITIONAL, rows_of, shade_of
from tiny_chain import SAMPLE, sample_from

from pdm.config.file import FileConfig
from pdm.config.stages.sample import GuideConfig, PreviewsConfig
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.lineage.trace import Places, trace

PROMPTS = ("a bright picture", "something at night --d 3 --s 7")
AUTOGUIDANCE = GuideConfig(kind="ema", ema_length=0.1, training_share=0.25)


def means_of(samples: Path) -> list[tuple[dict, float]]:
    return [(row, pixels.mean()) for row, pixels in rows_of(samples)]


def file_of(path: Path) -> FileConfig:
    return FileConfig(path=str(path), sha256=sha256_of(path))


def test_pictures_look_as_their_prompts_say_and_take_turns_with_them(taught, tmp_path):
    options = {"prompts": PROMPTS, "guidance_scale": 2.0, "guide": UNCONDITIONAL}
    found = means_of(taught.draw(tmp_path / "samples", **options))
    assert [row["file"] for row, _ in found] == [f"{number:06}.png" for number in range(6)]
    assert [row["prompt"] for row, _ in found] == ["a bright picture", "something at night"] * 3
    # The first prompt has the seeds of the section, the second its own.
    assert [row["seed"] for row, _ in found] == [7, 3, 9, 4, 11, 5]
    assert [row.get("steps") for row, _ in found] == [None, 7] * 3
    for row, mean in found:
        assert abs(mean - GREYS["bright" if "bright" in row["prompt"] else "dark"]) < 60


def test_a_picture_of_a_prompt_does_not_depend_on_its_batch(taught, tmp_path):
    options = {"prompts": PROMPTS, "guidance_scale": 3.0, "guide": UNCONDITIONAL}
    together, alone = (
        means_of(taught.draw(tmp_path / str(size), batch_size=size, **options)) for size in (6, 1)
    )
    for (_, mean), (_, expected) in zip(together, alone, strict=True):
        assert abs(mean - expected) < 1


def test_prompts_come_from_a_file_or_are_the_captions_of_held_out_pictures(taught, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# mine\n\na dark picture\nsomething light --d 1\n")
    by_file = means_of(taught.draw(tmp_path / "a", prompts=file_of(path)))
    assert [row["prompt"] for row, _ in by_file[:2]] == ["a dark picture", "something light"]
    held_out = means_of(taught.draw(tmp_path / "b", num_images=9))
    first = [CAPTIONS[shade_of(n)][0] for n in SPLITS["val"] if shade_of(n)]
    assert [row["prompt"] for row, _ in held_out] == [*first, first[0]]


def test_guidance_of_1_is_the_conditional_model_and_of_0_the_unconditional_one(taught, tmp_path):
    def draw_pixels(name, prompt, **options):
        samples = taught.draw(tmp_path / name, prompts=(prompt,), num_images=2, **options)
        return [row["pixels_sha256"] for row, _ in means_of(samples)]

    guide = {"guide": UNCONDITIONAL}
    plain = draw_pixels("plain", "a dark picture")
    assert draw_pixels("one", "a dark picture --l 1", guidance_scale=3.0, **guide) == plain
    empty = draw_pixels("empty", "--d 7")
    assert draw_pixels("zero", "a dark picture --d 7", guidance_scale=0.0, **guide) == empty
    assert plain != empty


def test_guidance_leads_away_from_the_negative_prompt(taught, tmp_path):
    means = {}
    for negative in ("a dark picture", "a bright picture"):
        options = {"guidance_scale": 2.0, "guide": UNCONDITIONAL, "negative_prompt": negative}
        rows = means_of(taught.draw(tmp_path / negative, prompts=("--d 0",), **options))
        means[negative] = np.mean([mean for _, mean in rows])
        assert {row["negative_prompt"] for row, _ in rows} == {negative}
    assert means["a dark picture"] > means["a bright picture"] + 10


def test_previews_end_with_the_pictures_of_prompts_with_options(taught, tmp_path):
    prompts = ("a dark picture", "a bright one --d 3 --s 7 --l 2.5 --n a dark one")
    previews = PreviewsConfig(num_images=2, frames=2, milliseconds=80)
    samples = taught.draw(tmp_path / "samples", prompts=prompts, num_images=2, previews=previews)
    for number in ("000000", "000001"):
        picture, last = (
            np.asarray(Image.open(samples / path).convert("RGB")).astype(int)
            for path in (f"{number}.png", f"previews/{number}/levels-03.png")
        )
        assert np.abs(picture - last).max() <= 1


def test_files_and_lineage_name_prompt_guidance_and_steps(taught, tmp_path):
    prompt = "a dark picture --n a bright one --l 2.5 --s 6"
    samples = taught.draw(tmp_path / "samples", prompts=(prompt,), num_images=1)
    places = Places(*(tmp_path / name for name in ("none", "samples", "runs", "decisions")))
    with Image.open(samples / "000000.png") as picture:
        picture.save(tmp_path / "copy.bmp")  # without a mark
    for path in (samples / "000000.png", tmp_path / "copy.bmp"):
        drawn = trace(path, places).drawn
        assert drawn["prompt"] == "a dark picture"
        assert drawn["negative_prompt"] == "a bright one"
        assert (drawn["guidance_scale"], drawn["steps"]) == (2.5, 6)


def test_prompts_that_do_not_fit_the_model_are_refused_before_any_work(taught, chain, tmp_path):
    with pytest.raises(BadInput, match="asks for 640x640 pixels, but samples are scored at"):
        taught.draw(tmp_path / "a", prompts=("a lake --w 640 --h 640",))
    path = tmp_path / "prompts.txt"
    path.write_text("a lake")
    file = file_of(path)
    path.write_text("a hill")
    with pytest.raises(BadInput, match=r"sample\.prompts\.path: .* has sha256"):
        taught.draw(tmp_path / "a", prompts=file)
    path.unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        taught.draw(tmp_path / "a", prompts=file)
    for key, value in (("prompts", ("a lake",)), ("negative_prompt", "a lake")):
        with pytest.raises(BadInput, match=rf"sample\.{key}: .* was not trained with text; set it"):
            sample_from(chain, replace(SAMPLE, **{key: value}), tmp_path / "a")
    with pytest.raises(ValueError, match="has the option --q"):
        replace(SAMPLE, prompts=("a lake --q 2",))
    with pytest.raises(ValueError, match="--s: expected a whole number from 1 to 1,000,000"):
        replace(SAMPLE, prompts=("a lake --s 2000000",))
    with pytest.raises(ValueError, match="prompts: expected prompts"):
        replace(SAMPLE, prompts=("# mine", " "))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prompts": ("a lake --n people",), "guidance_scale": 2.0, "guide": AUTOGUIDANCE},
            "sample.prompts: 'a lake' .* a guide of kind ema ignores it",
        ),
        (
            {"negative_prompt": "people", "guidance_scale": 2.0, "guide": AUTOGUIDANCE},
            "sample.negative_prompt has .* 'people', .* a guide of kind ema ignores it",
        ),
        ({"negative_prompt": "people"}, "sample.negative_prompt .* the guidance scale is 1"),
        ({"prompts": ("a hill --n people --l 1",)}, "prompts: 'a hill' .* the guidance scale is 1"),
    ],
)
def test_a_negative_prompt_that_guidance_would_ignore_is_refused(
    options, message, taught, tmp_path
):
    with pytest.raises(BadInput, match=message):
        taught.draw(tmp_path / "samples", **options)


def test_a_prompt_may_switch_guidance_off_in_spite_of_the_sections_negative_prompt(
    taught, tmp_path
):
    options = {"guidance_scale": 2.0, "guide": UNCONDITIONAL, "negative_prompt": "a bright one"}
    prompts = ("a dark picture", "a dark picture --l 1")
    rows = means_of(taught.draw(tmp_path / "samples", prompts=prompts, num_images=2, **options))
    assert [row.get("negative_prompt") for row, _ in rows] == ["a bright one", None]
