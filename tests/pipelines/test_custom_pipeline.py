"""The pipeline of this package, as diffusers loads it: it draws what the commands draw."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from random_models import (
    CELEBA,
    KL_SCALAR,
    first_stage,
    latent_unet,
    pyramid,
    randomise,
    write_models,
)
from shared.tiny_bert import write_bert
from shared.tiny_pyramid import SAMPLE, UNET
from test_stock_pipeline import draw_by_stage

from pdm.config.networks.text import TextTransformerConfig, WordPiecesConfig
from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import GuideConfig
from pdm.config.task import (
    ClassTask,
    InpaintingTask,
    LayoutTask,
    SemanticTask,
    SuperResolutionTask,
    TextTask,
)
from pdm.data.annotations import boxes, classes, maps
from pdm.data.annotations.boxes import Layout, parse_boxes
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.pictures.draw import draw, drawings_of_layout
from pdm.inference.pictures.inpaint import inpaint
from pdm.inference.pictures.loaded_models import load_models
from pdm.inference.pictures.paint import paint
from pdm.inference.pictures.upscale import upscale
from pdm.models.unet import PyramidUNet
from pdm.pipelines.export import export_diffusers
from pdm.tasks.find import build_task
from pdm.tasks.task import Levels
from pdm.text.word_pieces import SPECIAL, write_vocabulary

TRANSFORMER = TextTransformerConfig(
    vocabulary_size=16, max_tokens=6, width=8, depth=1, num_heads=2, head_width=4
)
TASKS = {
    "class": ClassTask(kind="class"),
    "text": TextTask(
        kind="text",
        encoder=WordPiecesConfig(kind="word_pieces", vocabulary=None, transformer=TRANSFORMER),
        prompts=(),
    ),
    "inpainting": InpaintingTask(
        kind="inpainting", mask_shapes=("circle",), min_share=0.1, max_share=0.3
    ),
    "super_resolution": SuperResolutionTask(
        kind="super_resolution", factor=2, degradation="bicubic"
    ),
    "semantic": SemanticTask(kind="semantic"),
    "layout": LayoutTask(
        kind="layout", max_boxes=2, vocabulary_size=64, width=8, depth=1, num_heads=2, head_width=4
    ),
}
NAMES = {
    classes.FACT: ["dune", "sea"],
    maps.FACT: ["sky", "water"],
    boxes.FACT: {"classes": ["boat", "sun"], "crop": [0.0, 0.1, 1.0, 0.9]},
}


def conditional_models(folder, task, size=(16, 32)):
    """A pyramid with a network for the task."""
    autoencoder, _ = pyramid()
    levels = Levels(autoencoder.level_channels, autoencoder.level_downsamplings)
    sizes = build_task(task, NAMES).sizes(levels, NAMES)
    config = replace(UNET, condition=sizes)
    unet = randomise(PyramidUNet(config, levels.channels, levels.downsamplings))
    write_models(folder, autoencoder, unet, size, task, **NAMES)
    write_vocabulary(folder / "diffusion" / "vocab.txt", [*SPECIAL, "a", "dune", "sea"])
    return folder


def load(models, folder, config=SAMPLE):
    said = export_diffusers(config, models=models, output=folder)
    assert "trust_remote_code=True" in said
    return load_folder(folder)


def load_folder(folder):
    pipeline = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def as_arrays(images):
    return np.stack([np.asarray(image) for image in images])


def picture(width, height):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def test_a_pyramid_draws_the_pictures_of_the_stage(tmp_path):
    models = write_models(tmp_path / "models", *pyramid(), (16, 32))
    pipeline = load(models, tmp_path / "folder")
    drawn = as_arrays(pipeline(seed=5, num_images=3).images)
    expected = draw_by_stage(models, tmp_path)
    assert expected.std() > 5
    assert (drawn == expected).all()
    other = as_arrays(pipeline(seed=5, num_images=3, num_inference_steps=2).images)
    assert (other != expected).any()
    assert pipeline(height=32, width=48).images[0].size == (48, 32)
    with pytest.raises(ValueError, match="30 and 32, but must be multiples of 8"):
        pipeline(height=30)


@pytest.mark.parametrize("changes", [{"predicts": "velocity"}, {"name": "inpainting_big"}])
def test_an_ldm_that_diffusers_classes_do_not_fit_draws_the_pictures_of_the_stage(
    changes, tmp_path
):
    unet = latent_unet(replace(CELEBA, **changes))
    models = write_models(tmp_path / "models", first_stage(KL_SCALAR), unet, (32, 64))
    pipeline = load(models, tmp_path / "folder")
    drawn = as_arrays(pipeline(seed=5, num_images=3).images)
    assert (drawn == draw_by_stage(models, tmp_path)).all()


def test_a_guide_of_another_folder_is_copied_and_guides(tmp_path):
    autoencoder, unet = pyramid()
    models = write_models(tmp_path / "models", autoencoder, unet, (16, 32))
    other = write_models(tmp_path / "other", autoencoder, randomise(unet), (16, 32)) / "diffusion"
    guide = GuideConfig(
        kind="model", path=str(other), sha256=sha256_of(other / "model.safetensors")
    )
    config = replace(SAMPLE, guidance_scale=2.0, guide=guide)
    expected = draw_by_stage(models, tmp_path, config)
    pipeline = load(models, tmp_path / "folder", config)
    (other / "model.safetensors").unlink()
    assert (as_arrays(pipeline(seed=5, num_images=3).images) == expected).all()


def test_classes_are_drawn_in_turn_or_as_named(tmp_path):
    models = conditional_models(tmp_path / "models", TASKS["class"])
    pipeline = load(models, tmp_path / "folder")
    in_turn = as_arrays(pipeline(seed=5, num_images=3).images)
    assert (in_turn == draw_by_stage(models, tmp_path)).all()
    sea = as_arrays(pipeline(seed=5, num_images=3, classes=["sea"]).images)
    assert [(a == b).all() for a, b in zip(in_turn, sea, strict=True)] == [True, False, True]


def test_a_prompt_draws_what_the_command_draws(tmp_path):
    models = conditional_models(tmp_path / "models", TASKS["text"])
    pipeline = load(models, tmp_path / "folder")
    options = {"guidance_scale": 2.0, "negative_prompt": "sea", "seed": 3, "num_images": 2}
    drawn = as_arrays(pipeline("a dune", **options).images)
    wish = Prompt("a dune", seed=3, negative="sea", guidance_scale=2.0)
    loaded = load_models(models, SAMPLE, [wish])
    expected = np.stack([one for _, one, _ in draw(loaded, wish, 2)])
    assert (drawn == expected).all()
    with pytest.raises(ValueError, match="a model trained for text needs a prompt"):
        pipeline(seed=3)
    with pytest.raises(BadInput, match="negative prompt 'sea', but the guidance scale is 1"):
        pipeline("a dune", negative_prompt="sea")
    with pytest.raises(ValueError, match="takes only a prompt; leave out the image"):
        pipeline("a dune", image=picture(32, 16))


def test_a_frozen_text_encoder_is_copied_and_read_from_the_folder(tmp_path):
    encoder = write_bert(tmp_path / "bert", max_tokens=8)
    task = replace(TASKS["text"], encoder=encoder)
    models = conditional_models(tmp_path / "models", task)
    wish = Prompt("a dune at noon", seed=3)
    [(_, expected, _)] = draw(load_models(models, SAMPLE, [wish]), wish, 1)
    export_diffusers(SAMPLE, models=models, output=tmp_path / "folder")
    shutil.rmtree(tmp_path / "bert")
    pipeline = load_folder(tmp_path / "folder")
    [drawn] = pipeline("a dune at noon", seed=3).images
    assert (np.asarray(drawn) == expected).all()


def test_super_resolution_gives_exactly_twice_the_size(tmp_path):
    task = TASKS["super_resolution"]
    models = conditional_models(tmp_path / "models", task)
    pipeline = load(models, tmp_path / "folder")
    small = picture(21, 13)
    [drawn] = pipeline(image=small, seed=4).images
    expected = upscale(load_models(models, SAMPLE), task, np.array(small), 4)
    assert drawn.size == (42, 26)
    assert (np.asarray(drawn) == expected).all()
    with pytest.raises(ValueError, match="needs an image"):
        pipeline()
    with pytest.raises(ValueError, match="super_resolution takes no mask_image"):
        pipeline(image=small, mask_image=small)
    with pytest.raises(ValueError, match="leave out height and width"):
        pipeline(image=small, height=64)


@pytest.mark.parametrize("trained", [True, False])
def test_inpainting_keeps_known_pixels_with_and_without_training_for_it(trained, tmp_path):
    models = tmp_path / "models"
    if trained:
        conditional_models(models, TASKS["inpainting"])
    else:
        write_models(models, *pyramid(), (16, 32))
    pipeline = load(models, tmp_path / "folder")
    known = picture(40, 24)
    hole = np.zeros((24, 40), bool)
    hole[4:12, 8:20] = True
    [drawn] = pipeline(image=known, mask_image=Image.fromarray(hole), seed=4).images
    [expected] = inpaint(load_models(models, SAMPLE), np.array(known), hole, [4])
    assert (np.asarray(drawn) == expected).all()
    assert (np.asarray(drawn)[~hole] == np.asarray(known)[~hole]).all()
    with pytest.raises(ValueError, match="must have the image's size 40x24"):
        pipeline(image=known, mask_image=picture(3, 3))


def test_a_map_is_painted(tmp_path):
    models = conditional_models(tmp_path / "models", TASKS["semantic"])
    pipeline = load(models, tmp_path / "folder")
    indices = np.random.default_rng(0).integers(0, 2, (20, 30), np.uint8)
    [drawn] = pipeline(image=Image.fromarray(indices), seed=4).images
    [expected] = paint(load_models(models, SAMPLE), indices, [4])
    assert (np.asarray(drawn) == expected).all()
    turned = Image.fromarray(indices).transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x112] = 6  # to be turned clockwise
    [again] = pipeline(image=turned, seed=4).images
    assert again == drawn


def test_boxes_are_drawn_as_by_the_command(tmp_path):
    models = conditional_models(tmp_path / "models", TASKS["layout"])
    pipeline = load(models, tmp_path / "folder")
    boat = {"class": "boat", "x": 0.1, "y": 0.5, "width": 0.5, "height": 0.25}
    [drawn] = pipeline(boxes=[boat], seed=4).images
    layout = Layout(parse_boxes([boat]), (0.0, 0.1, 1.0, 0.9))
    [expected] = drawings_of_layout(load_models(models, SAMPLE), layout, [4])
    assert (np.asarray(drawn) == expected.draw()).all()
    other = Layout(parse_boxes([boat | {"class": "sun"}]), layout.crop)
    [sun] = drawings_of_layout(load_models(models, SAMPLE), other, [4])
    assert (np.asarray(drawn) != sun.draw()).any()
    with pytest.raises(ValueError, match="a model trained for layout needs boxes"):
        pipeline()
    with pytest.raises(ValueError, match="class 'car'; the model has boat, sun"):
        pipeline(boxes=[boat | {"class": "car"}])


def test_guidance_without_a_guide_and_other_precisions_are_refused(tmp_path):
    models = write_models(tmp_path / "models", *pyramid(), (16, 32))
    pipeline = load(models, tmp_path / "folder")
    with pytest.raises(ValueError, match="takes no condition and was exported without a guide"):
        pipeline(guidance_scale=2.0)
    with pytest.raises(ValueError, match="takes no prompt"):
        pipeline("a dune")
    with pytest.raises(ValueError, match="takes no negative_prompt"):
        pipeline(negative_prompt="a dune")
    with pytest.raises(ValueError, match="it must be 'pil' or 'np'"):
        pipeline(output_type="pt")
    with pytest.raises(ValueError, match=r"^dtype is torch\.float16, but noise"):
        DiffusionPipeline.from_pretrained(
            tmp_path / "folder", trust_remote_code=True, dtype=torch.float16
        )
