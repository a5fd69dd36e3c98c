"""Text, from the captions of the shards to what prompts draw: bright pictures and dark ones, each
with two captions, and others that have none."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_bert import write_bert
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, SAMPLE, TRAINING

from pdm.cli import main
from pdm.config.file import FileConfig
from pdm.config.sample import GuideConfig, PreviewsConfig
from pdm.config.task import TextTask
from pdm.config.text import TextTransformerConfig, WordPiecesConfig
from pdm.data import marks
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.errors import BadInput, Preempted
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.any_size import large
from pdm.inference.encode import encode_shards
from pdm.inference.sample import sample_pictures
from pdm.lineage.trace import Places, trace
from pdm.models.unet import PyramidUNet
from pdm.params.override import override
from pdm.presets import preset_text
from pdm.registry import load_denoiser
from pdm.tasks.find import check_task, find_task
from pdm.tasks.text import TextFiles, prepare_text
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers
from pdm.training.noisy_latents import NoisyLatents

GREYS = {"bright": 200, "dark": 40, None: 120}
CAPTIONS = {
    "bright": ("a bright picture", "something light"),
    "dark": ("a dark picture", "something at night"),
    None: (),
}
SPLITS = {"train": range(40), "val": range(40, 50)}
TASK = TextTask(
    kind="text",
    encoder=WordPiecesConfig(
        kind="word_pieces",
        vocabulary=None,
        transformer=TextTransformerConfig(
            vocabulary_size=80, max_tokens=8, width=16, depth=1, num_heads=2, head_width=8
        ),
    ),
    prompts=(),
)
CONFIG = replace(
    DIFFUSION,
    task=TASK,
    model=replace(DIFFUSION.model, dropout=(0.0, 0.0)),
    condition_dropout=0.2,
    training=replace(
        TRAINING,
        total_images=2400,
        batch_size=16,
        save_every_images=2400,
        log_every_images=800,
        learning_rate=4e-3,
        ema_half_life_images=160,
    ),
)


def shade_of(number: int) -> str | None:
    return ("bright", "dark", "bright", "dark", None)[number % 5]


def sample_of(number: int):
    generator = np.random.default_rng(number)
    noise = generator.normal(0, 12, (4, 8, 3)) + generator.normal(0, 12, 3)
    pixels = (GREYS[shade_of(number)] + noise).clip(0, 255).astype(np.uint8)
    file, key = io.BytesIO(), f"{number:020x}"
    Image.fromarray(pixels).resize((128, 64), Image.Resampling.BICUBIC).save(file, "PNG")
    captions = CAPTIONS[shade_of(number)]
    record = {"key": key, "caption": captions[0] if captions else None, "captions": captions}
    return key, {"png": file.getvalue(), "json": json.dumps(record).encode(), "txt": b""}


def write_shards(folder: Path) -> Path:
    folder.mkdir()
    splits = {}
    for split, numbers in SPLITS.items():
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, (sample_of(number) for number in numbers))
        splits[split] = [manifest.Shard.of(path, len(numbers))]
    listing.write(
        folder,
        (Listed(f"{n:020x}", f"{n:064x}", split) for split, ns in SPLITS.items() for n in ns),
    )
    facts = {"width_px": 128, "height_px": 64, "captioned": 40}
    manifest.Manifest(splits, facts).save(folder)
    return folder


def train(folder: Path, name: str, config=CONFIG) -> Path:
    settings = diffusion.Settings(
        config,
        ReferenceDistance,
        folder / "latents",
        folder / "runs" / "diffusion" / name,
        folder / name,
        folder / "autoencoder",
        folder,
    )
    splits = [LatentShards(folder / "latents", split) for split in ("train", "val")]
    prepare_text(config.task, splits, settings.text_files, None)
    diffusion._work(settings, Workers(torch.device("cpu")))
    return settings.model


@dataclass(frozen=True)
class Taught:
    folder: Path
    diffusion: Path


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Taught:
    folder = tmp_path_factory.mktemp("text")
    shards = write_shards(folder / "shards")
    config = replace(
        AUTOENCODER,
        equivariance_loss_weight=0.0,
        close_up=0.0,
        training=replace(CONFIG.training, total_images=640, save_every_images=640),
    )
    config = replace(config, training=replace(config.training, log_every_images=320))
    autoencoder._work(
        autoencoder.Settings(config, shards, folder / "run", folder / "autoencoder"),
        Workers(torch.device("cpu")),
    )
    encode_shards(
        LATENTS, shards=shards, autoencoder=folder / "autoencoder", latents=folder / "latents"
    )
    return Taught(folder, train(folder, "diffusion"))


def test_latents_know_the_captions_of_each_picture_and_of_its_mirrored_copy(taught):
    for split, copies in (("train", 2), ("val", 1)):
        latents = LatentShards(taught.folder / "latents", split)
        assert latents.captions == [CAPTIONS[shade_of(n)] for n in SPLITS[split]] * copies


def test_the_model_carries_its_vocabulary_and_its_task(taught):
    pieces = (taught.diffusion / "vocab.txt").read_text().splitlines()
    assert "bright" in pieces
    record = json.loads((taught.diffusion / "config.json").read_text())
    assert record["task"]["kind"] == "text"
    assert record["config"]["condition"]["text"]["width"] == 16


def test_a_stopped_and_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(taught):
    config = replace(
        CONFIG, training=replace(CONFIG.training, total_images=96, save_every_images=96)
    )
    config = replace(config, training=replace(config.training, log_every_images=32))
    unbroken = train(taught.folder, "unbroken", config)
    stop = taught.folder / "runs" / "diffusion" / "broken" / "stop"
    stop.parent.mkdir()
    stop.touch()
    with pytest.raises(Preempted):
        train(taught.folder, "broken", config)
    stop.unlink()
    broken = train(taught.folder, "broken", config)
    assert sha256_of(broken / "model.safetensors") == sha256_of(unbroken / "model.safetensors")


def noisy(taught, **changes):
    files = TextFiles(taught.folder / "runs" / "diffusion" / "diffusion")
    latents = LatentShards(taught.folder / "latents", "train")
    sizes = load_denoiser(taught.diffusion).condition_sizes
    config = replace(CONFIG, **changes)
    return NoisyLatents(latents, config, sizes, task=find_task(TASK, {}, files))


def test_every_caption_of_a_picture_is_shown_in_the_course_of_the_epochs(taught):
    data = noisy(taught, condition_dropout=0.0)
    latents, num_epochs = data.shards, 20
    positions = range(num_epochs * len(latents))
    tokens = data._condition(positions).tokens
    seen = {}
    for index, row in zip(data._indices(positions), tokens, strict=True):
        seen.setdefault(index, set()).add(tuple(row.tolist()))
    for index, captions in enumerate(latents.captions):
        expected = data.task.condition_of_texts(captions or ("",)).tokens
        assert seen[index] == {tuple(row.tolist()) for row in expected}
    again = data._condition(range(1000, 1010)).tokens
    assert torch.equal(again, tokens[1000:1010])


def test_a_dropped_condition_is_the_empty_text(taught):
    data = noisy(taught)
    condition = data._condition(range(2000))
    empty = data.task.condition_of_texts([""])
    is_empty = (condition.tokens == empty.tokens).all(dim=1)
    # A fifth of the pictures has no caption.
    assert is_empty.float().mean().item() == pytest.approx(0.2 + 0.8 * 0.2, abs=0.03)
    assert (condition.mask[is_empty] == empty.mask).all()


def test_padding_changes_no_velocity(taught):
    network = load_denoiser(taught.diffusion)
    _, noise, times, *_, condition = noisy(taught).load(range(4))
    other = replace(condition, tokens=torch.where(condition.mask, condition.tokens, 9))
    with torch.no_grad():
        expected, found = (network(noise, times, each) for each in (condition, other))
        encoded = network(noise, times, network.encode_text(condition))
    for one, two, three in zip(expected, found, encoded, strict=True):
        assert one.abs().max() > 0.1
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_data_without_captions_is_refused_before_any_work(taught, chain):
    with pytest.raises(BadInput, match="no picture has a caption; name a caption_column"):
        check_task(CONFIG, LatentShards(chain.latents, "train"))


def test_a_vocabulary_that_changes_during_a_run_is_refused(taught):
    files = TextFiles(taught.folder / "runs" / "diffusion" / "diffusion", base=taught.folder)
    splits = [LatentShards(taught.folder / "latents", split) for split in ("train", "val")]
    own = taught.folder / "own.txt"
    own.write_text("[UNK]\n[CLS]\n[SEP]\na\n")
    vocabulary = replace(file_of(own), path="own.txt")
    task = replace(TASK, encoder=replace(TASK.encoder, vocabulary=vocabulary))
    with pytest.raises(BadInput, match="another one than that of the run"):
        prepare_text(task, splits, files, None)
    own.write_text("[UNK]\n[CLS]\n[SEP]\nb\n")
    with pytest.raises(BadInput, match=r"encoder\.vocabulary\.path: .*own.txt has sha256"):
        prepare_text(task, splits, files, None)


def draw(taught, samples: Path, **changes) -> Path:
    config = {"num_images": 6, "steps": 5, "batch_size": 4, "full_size_picture": False}
    sample_pictures(
        replace(SAMPLE, **config | changes),
        autoencoder=taught.folder / "autoencoder",
        diffusion=taught.diffusion,
        shards=taught.folder / "shards",
        samples=samples,
    )
    return samples


def rows_of(samples: Path):
    listed = json.loads((samples / "samples.json").read_text())["samples"]
    return [
        (one, np.asarray(Image.open(samples / one["file"])).astype(int).mean()) for one in listed
    ]


def file_of(path: Path) -> FileConfig:
    return FileConfig(path=str(path), sha256=sha256_of(path))


PROMPTS = ("a bright picture", "something at night --d 3 --s 7")
UNCONDITIONAL = GuideConfig(kind="unconditional")


def test_pictures_look_as_their_prompts_say_and_take_turns_with_them(taught, tmp_path):
    options = {"prompts": PROMPTS, "guidance_scale": 2.0, "guide": UNCONDITIONAL}
    found = rows_of(draw(taught, tmp_path / "samples", **options))
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
        rows_of(draw(taught, tmp_path / str(size), batch_size=size, **options)) for size in (6, 1)
    )
    for (_, mean), (_, expected) in zip(together, alone, strict=True):
        assert abs(mean - expected) < 1


def test_prompts_come_from_a_file_or_are_the_captions_of_held_out_pictures(taught, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# mine\n\na dark picture\nsomething light --d 1\n")
    by_file = rows_of(draw(taught, tmp_path / "a", prompts=file_of(path)))
    assert [row["prompt"] for row, _ in by_file[:2]] == ["a dark picture", "something light"]
    held_out = rows_of(draw(taught, tmp_path / "b", num_images=9))
    first = [CAPTIONS[shade_of(n)][0] for n in SPLITS["val"] if shade_of(n)]
    assert [row["prompt"] for row, _ in held_out] == [*first, first[0]]


def test_guidance_of_1_is_the_conditional_model_and_of_0_the_unconditional_one(taught, tmp_path):
    def draw_pixels(name, prompt, **options):
        samples = draw(taught, tmp_path / name, prompts=(prompt,), num_images=2, **options)
        return [row["pixels_sha256"] for row, _ in rows_of(samples)]

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
        rows = rows_of(draw(taught, tmp_path / negative, prompts=("--d 0",), **options))
        means[negative] = np.mean([mean for _, mean in rows])
        assert {row["negative_prompt"] for row, _ in rows} == {negative}
    assert means["a dark picture"] > means["a bright picture"] + 10


def test_previews_end_with_the_pictures_of_prompts_with_options(taught, tmp_path):
    prompts = ("a dark picture", "a bright one --d 3 --s 7 --l 2.5 --n a dark one")
    previews = PreviewsConfig(num_images=2, frames=2, milliseconds=80)
    samples = draw(taught, tmp_path / "samples", prompts=prompts, num_images=2, previews=previews)
    for number in ("000000", "000001"):
        picture, last = (
            np.asarray(Image.open(samples / path).convert("RGB")).astype(int)
            for path in (f"{number}.png", f"previews/{number}/levels-03.png")
        )
        assert np.abs(picture - last).max() <= 1


def test_marks_and_lineage_name_prompt_guidance_and_steps(taught, tmp_path):
    prompt = "a dark picture --n a bright one --l 2.5 --s 6"
    samples = draw(taught, tmp_path / "samples", prompts=(prompt,), num_images=1)
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
        draw(taught, tmp_path / "a", prompts=("a lake --w 640 --h 640",))
    path = tmp_path / "prompts.txt"
    path.write_text("a lake")
    file = file_of(path)
    path.write_text("a hill")
    with pytest.raises(BadInput, match=r"sample\.prompts\.path: .* has sha256"):
        draw(taught, tmp_path / "a", prompts=file)
    path.unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        draw(taught, tmp_path / "a", prompts=file)
    with pytest.raises(BadInput, match="was not trained with text; set it to null"):
        sample_pictures(
            replace(SAMPLE, prompts=("a lake",)),
            autoencoder=chain.autoencoder,
            diffusion=chain.diffusion,
            shards=chain.shards,
            samples=tmp_path / "a",
        )
    with pytest.raises(ValueError, match="has the option --q"):
        replace(SAMPLE, prompts=("a lake --q 2",))
    with pytest.raises(ValueError, match="--s: expected a whole number from 1 to 1,000,000"):
        replace(SAMPLE, prompts=("a lake --s 2000000",))
    with pytest.raises(ValueError, match="prompts: expected prompts"):
        replace(SAMPLE, prompts=("# mine", " "))


AUTOGUIDANCE = GuideConfig(kind="ema", ema_length=0.1, training_share=0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prompts": ("a lake --n people",), "guidance_scale": 2.0, "guide": AUTOGUIDANCE},
            "sample.prompts: 'a lake' .* a guide of kind ema ignores it",
        ),
        (
            {"negative_prompt": "people", "guidance_scale": 2.0, "guide": AUTOGUIDANCE},
            "sample.negative_prompt names 'people' .* a guide of kind ema ignores it",
        ),
        ({"negative_prompt": "people"}, "sample.negative_prompt .* the guidance scale is 1"),
        ({"prompts": ("a hill --n people --l 1",)}, "prompts: 'a hill' .* the guidance scale is 1"),
    ],
)
def test_a_negative_prompt_that_guidance_would_ignore_is_refused(
    options, message, taught, tmp_path
):
    with pytest.raises(BadInput, match=message):
        draw(taught, tmp_path / "samples", **options)


def test_a_prompt_may_switch_guidance_off_in_spite_of_the_sections_negative_prompt(
    taught, tmp_path
):
    options = {"guidance_scale": 2.0, "guide": UNCONDITIONAL, "negative_prompt": "a bright one"}
    prompts = ("a dark picture", "a dark picture --l 1")
    rows = rows_of(draw(taught, tmp_path / "samples", prompts=prompts, num_images=2, **options))
    assert [row.get("negative_prompt") for row, _ in rows] == ["a bright one", None]


@pytest.fixture(scope="module")
def models(taught, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for stage in ("autoencoder", "diffusion"):
        (folder / stage).symlink_to(taught.folder / stage)
    return folder


def run_draw(models: Path, output: Path, *words, code=0, **sample) -> list[Path]:
    """Run `pyramid draw`, with the text preset and changes of its section `sample`."""
    params = output / "params.yaml"
    changes = [f"sample.{name}={value}" for name, value in sample.items()]
    params.write_text(override(preset_text("task-text", None), changes)[0])
    arguments = ["draw", *words, "--models", models, "--params", params, "--output", output]
    assert main([*map(str, arguments), "--steps", "3"]) == code
    return sorted(output.glob("*.png"))


def test_the_negative_prompt_of_the_command_changes_the_picture(models, tmp_path):
    found = []
    for name, words in (("without", []), ("with", ["--negative", "a bright picture"])):
        folder = tmp_path / name
        folder.mkdir()
        [path] = run_draw(models, folder, "a dark picture", *words)
        found.append(marks.read(path))
    (plain, pixels), (negative, other) = found
    assert negative["negative_prompt"] == "a bright picture"
    assert "negative_prompt" not in plain
    assert pixels != other


def test_prompts_are_drawn_at_any_size(models, tmp_path, capsys):
    [path] = run_draw(models, tmp_path, "a dark picture", "--size", "140x128", guidance_scale=1.0)
    assert path.name == "a-dark-picture-140x128-0.png"
    with Image.open(path) as file:
        assert file.size == (140, 128)
        assert np.asarray(file).mean() < 120
    assert marks.read(path)[0]["prompt"] == "a dark picture"
    run_draw(models, tmp_path, "a lake --w 64", "--size", "140x128", code=2)
    assert "leave --size out" in capsys.readouterr().err
    run_draw(models, tmp_path, code=2)
    assert "name a prompt" in capsys.readouterr().err


def test_the_prompts_of_the_params_are_not_drawn_into_a_picture_that_is_enlarged(models, tmp_path):
    Image.new("RGB", (80, 60), (200, 200, 200)).save(tmp_path / "photo.png")
    found = []
    for prompt in ("a dark picture", "a bright picture"):
        params, path = tmp_path / "params.yaml", tmp_path / f"{prompt}.png"
        changes = ["sample.guidance_scale=1.0", f"sample.prompts=[{prompt}]"]
        params.write_text(override(preset_text("task-text", None), changes)[0])
        words = ["upscale", tmp_path / "photo.png", "--size", "160x128", "--output", path]
        words += ["--colour", "none", "--models", models, "--params", params, "--steps", 3]
        assert main([*map(str, words)]) == 0
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_what_was_begun_with_another_guidance_interval_is_not_gone_on_with(
    models, tmp_path, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(large, "write_picture", interrupt)
    found = set()
    for interval in ("[0.0, 1.0]", "[0.2, 0.8]"):
        settings = {"guidance_scale": 1.0, "guidance_interval": interval}
        words = ["a dark picture", "--guidance", 3, "--size", "140x128"]
        run_draw(models, tmp_path, *words, code=130, **settings)
        found |= {path.name for path in tmp_path.glob(".part-*")}
    assert len(found) == 2


def test_the_text_is_read_once_and_not_for_every_tile(models, tmp_path, monkeypatch):
    read = []
    encode_text = PyramidUNet.encode_text

    def count(network, condition):
        if not condition.tokens.is_floating_point():  # word pieces
            read.append(condition)
        return encode_text(network, condition)

    monkeypatch.setattr(PyramidUNet, "encode_text", count)
    run_draw(models, tmp_path, "a dark picture", "--size", "140x128", guidance_scale=1.0)
    # Once for the composition; in a round, once for each number of tiles in a batch.
    assert len(read) < 10


def test_without_a_params_file_the_command_guides_by_the_empty_text(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["draw", "a dark picture", "--models", str(models), "--negative", "bright"]
    assert main([*words, "--steps", "3"]) == 0
    facts, _ = marks.read(tmp_path / "a-dark-picture-0.png")
    assert (facts["guide"], facts["guidance_scale"]) == ({"kind": "unconditional"}, 3.0)


def test_the_options_of_a_prompt_reach_no_other_prompt(models, tmp_path):
    (tmp_path / "prompts.txt").write_text("a lake\na hill --l 7.5\n")
    words = ["--prompts", tmp_path / "prompts.txt"]
    hill, lake = run_draw(models, tmp_path, *words, guidance_scale=1.0)
    alone = tmp_path / "alone"
    alone.mkdir()
    [expected] = run_draw(models, alone, "a lake", guidance_scale=1.0)
    assert marks.read(lake) == marks.read(expected)
    assert "guidance_scale" not in marks.read(lake)[0]  # it has none
    assert marks.read(hill)[0]["guidance_scale"] == 7.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--negative", "people", "--guidance", "1"], "the guidance scale is 1"),
        (["--prompts", "prompts.txt"], "has --w 636, but sides must be multiples of 8"),
    ],
)
def test_prompts_that_do_not_fit_the_model_are_refused_before_any_is_drawn(
    words, message, models, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("a lake\na hill --w 636\n")
    words = words if "--prompts" in words else ["a lake", *words]
    assert run_draw(models, tmp_path, *words, code=2) == []
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("options", "size"), [("--w 64 --h 40", (64, 40)), ("--h 8", (32, 8))])
def test_a_prompt_is_drawn_at_another_size_with_a_warning(options, size, models, tmp_path, caplog):
    [path] = run_draw(models, tmp_path, f"a dark picture {options}")
    with Image.open(path) as picture:
        assert picture.size == size
        assert np.asarray(picture).mean() < 100  # as dark as at the size of the training
    assert "drawn at {}x{} by a model that was trained at 32x16".format(*size) in caplog.text


def test_an_equal_prompt_at_another_size_is_another_picture(models, tmp_path):
    for options in ("", "--w 64"):
        found = run_draw(models, tmp_path, f"a dark picture {options}")
    widths = {path.name: Image.open(path).width for path in found}
    assert widths == {"a-dark-picture-0.png": 32, "a-dark-picture-0-2.png": 64}


def test_a_prompt_that_names_the_size_of_the_training_is_drawn_without_a_warning(
    models, tmp_path, caplog
):
    run_draw(models, tmp_path, "a dark picture --w 32 --h 16")
    assert "trained at" not in caplog.text


def test_pictures_whose_prompts_begin_alike_have_files_of_their_own(models, tmp_path):
    words = "a very long prompt of more than sixty characters about a dark sea"
    lines = ["a cat", "a cat --l 7.5", "a cat 0 --d 2", f"{words} at night", f"{words} at noon"]
    (tmp_path / "prompts.txt").write_text("\n".join(lines))
    found = run_draw(models, tmp_path, "--prompts", tmp_path / "prompts.txt")
    facts = {path.stem: marks.read(path)[0] for path in found}
    assert [len(facts), facts["a-cat-0"]["guidance_scale"]] == [5, 3.0]
    assert facts["a-cat-0-2"]["guidance_scale"] == 7.5
    assert facts["a-cat-0-2-2"]["prompt"] == "a cat 0"
    assert {one["prompt"] for one in facts.values()} == {line.split(" --")[0] for line in lines}


def test_a_picture_of_an_earlier_command_stays_and_an_equal_one_is_not_doubled(models, tmp_path):
    (tmp_path / "a-cat-1.png").write_bytes(b"not a picture of ours")
    expected = ["a-cat-0.png", "a-cat-1-2.png", "a-cat-1.png"]
    for _ in range(2):  # the second time they are there already
        found = run_draw(models, tmp_path, "a cat", "--num", 2)
        assert [path.name for path in found] == expected
    first = found[0].read_bytes()
    found = run_draw(models, tmp_path, "a cat", "--guidance", 7.5)
    assert [path.name for path in found] == ["a-cat-0-2.png", *expected]
    assert (tmp_path / "a-cat-0.png").read_bytes() == first
    assert (tmp_path / "a-cat-1.png").read_bytes() == b"not a picture of ours"


def test_a_prompt_of_the_command_is_no_comment(models, tmp_path):
    [path] = run_draw(models, tmp_path, "#1 dad")
    assert marks.read(path)[0]["prompt"] == "#1 dad"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a lake --s 2000000"], "--s: expected a whole number from 1 to 1,000,000"),
        ([" "], "the prompt is empty"),
        (["--prompts", "empty.txt"], "has no prompts"),
        (["--prompts", "none.txt"], "cannot be read"),
    ],
)
def test_prompts_that_do_not_fit_the_command_are_refused_before_the_models_are_read(
    words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    for stage, file in (("autoencoder", "model.safetensors"), ("diffusion", "config.json")):
        (tmp_path / "models" / stage).mkdir(parents=True)
        (tmp_path / "models" / stage / file).write_text("damaged")
    run_draw(tmp_path / "models", tmp_path, *words, code=2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--guidance", "-1"], ["--guidance", "nan"], ["--steps", "99999999"], ["--seed", "1" * 20]],
)
def test_numbers_out_of_range_are_refused_by_the_command_line(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["draw", "a lake", *words])
    assert caught.value.code == 2
    assert f"argument {words[0]}: expected" in capsys.readouterr().err


def test_the_command_draws_prompts_with_the_models_of_a_folder(models, chain, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text(preset_text("task-text", None))
    words = ["draw", "A dark picture!", "--models", str(models), "--params", str(params)]
    words += ["--seed", "3", "--num", "2", "--steps", "5", "--output", str(tmp_path)]
    assert main([*words, "--negative", "a bright one", "--guidance", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{tmp_path / 'a-dark-picture-4.png'}  (2 of 2)"
    facts, _ = marks.read(tmp_path / "a-dark-picture-3.png")
    assert (facts["prompt"], facts["seed"], facts["guidance_scale"]) == ("A dark picture!", 3, 2.0)
    assert facts["negative_prompt"] == "a bright one"
    assert np.asarray(Image.open(tmp_path / "a-dark-picture-4.png")).mean() < 90

    other = tmp_path / "other"
    other.mkdir()
    for stage in ("autoencoder", "diffusion"):
        (other / stage).symlink_to(getattr(chain, stage))
    assert main([*words[:2], "--models", str(other), "--params", str(params)]) == 2
    assert "without text, so it cannot follow a prompt" in capsys.readouterr().err


def test_training_from_cached_states_equals_training_without_a_cache_to_the_bit(taught, tmp_path):
    encoder = write_bert(tmp_path / "bert", max_tokens=6)
    task = replace(TASK, encoder=encoder)
    config = replace(
        CONFIG,
        task=task,
        training=replace(
            CONFIG.training, total_images=96, save_every_images=96, log_every_images=32
        ),
    )
    cached = train(taught.folder, "cached", config)
    states = taught.folder / "runs" / "text"
    assert len(list(states.glob("*/*.safetensors"))) == 1
    splits = [LatentShards(taught.folder / "latents", split) for split in ("train", "val")]
    bare = TextFiles(taught.folder)
    for at in range(2):
        kept, direct = (
            NoisyLatents(
                splits[at],
                config,
                load_denoiser(cached).condition_sizes,
                task=find_task(task, {}, files),
            )._condition(range(40))
            for files in (TextFiles(taught.folder, states), bare)
        )
        assert torch.equal(kept.tokens, direct.tokens)
        assert torch.equal(kept.mask, direct.mask)
    drawn = rows_of(draw(replace(taught, diffusion=cached), tmp_path / "a", prompts=("a sea",)))
    assert {row["prompt"] for row, _ in drawn} == {"a sea"}
