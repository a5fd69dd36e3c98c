"""The stage `sample` with a guide: an earlier average of the model, or another model."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from shared.folders import file_digests
from test_sample import draw
from tiny_chain import DIFFUSION, SAMPLE
from torch.nn.utils import parametrize

from pdm.config.stages.sample import GuideConfig
from pdm.errors import BadInput
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.champion import load_champion_folder
from pdm.inference.sampling_networks import load_networks
from pdm.lineage.formats import as_text
from pdm.lineage.trace import Places, trace
from pdm.models.layers.spectral_norm import bake_spectral_norms, settle_spectral_norms
from pdm.models.unet import PyramidUNet
from pdm.params.keys import DEFAULT
from pdm.params.override import set_values
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers

EARLIER = GuideConfig(kind="ema", ema_length=0.1, images_seen=16)
FEW = {"num_images": 2, "full_size_picture": False}


def train(chain, folder, **changes):
    model = replace(DIFFUSION.model, widths=(4, 4), **changes)
    settings = diffusion.Settings(
        replace(DIFFUSION, model=model),
        ReferenceDistance,
        chain.latents,
        folder / "run",
        folder / "model",
        chain.autoencoder,
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    return settings.model


@pytest.fixture(scope="module")
def smaller(chain, tmp_path_factory):
    """A model folder of a smaller network on the same latents, and the guide that it is."""
    folder = train(chain, tmp_path_factory.mktemp("smaller"))
    digest = sha256_of(folder / "model.safetensors")
    return folder, GuideConfig(kind="model", path=str(folder), sha256=digest)


def pictures(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("0*.png"))])


def test_at_scale_1_a_guide_changes_no_byte(chain, smaller, tmp_path):
    plain = draw(chain, tmp_path / "plain", **FEW)
    guide = replace(smaller[1], path="/nowhere")  # not even looked at
    other = draw(chain, tmp_path / "guided", guide=guide, **FEW)
    assert file_digests(other) == file_digests(plain)


def test_at_scale_0_the_guide_draws(chain, smaller, tmp_path):
    alone = draw(replace(chain, diffusion=smaller[0]), tmp_path / "alone", **FEW)
    guided = draw(chain, tmp_path / "guided", guidance_scale=0.0, guide=smaller[1], **FEW)
    assert (pictures(alone) == pictures(guided)).all()


@pytest.mark.parametrize("sampler", ["euler", "heun", "multistep", "adaptive"])
def test_with_every_sampler_a_picture_is_the_same_in_any_batch_and_another_than_without(
    chain, tmp_path, sampler
):
    found = {
        (size, scale): pictures(
            draw(
                chain,
                tmp_path / f"{size}-{scale}",
                sampler=sampler,
                batch_size=size,
                guide=EARLIER,
                guidance_scale=scale,
                guidance_interval=(0.1, 0.9),
                **FEW | {"num_images": 3},
            )
        ).astype(int)
        for size, scale in ((3, 1.0), (3, 16.0), (2, 16.0))
    }
    assert np.abs(found[2, 16.0] - found[3, 16.0]).max() <= 1
    assert np.abs(found[3, 1.0] - found[3, 16.0]).max() > 1


def test_list_file_and_lineage_name_the_guide_and_the_champion_follows_it(chain, smaller, tmp_path):
    folder, guide = smaller
    samples = draw(chain, tmp_path / "samples", guidance_scale=2.0, guide=guide, **FEW)
    record = json.loads((samples / "samples.json").read_text())
    assert record["guidance_scale"] == 2.0
    assert record["guide"] == {"kind": "model", "path": str(folder), "sha256": guide.sha256}
    places = Places(*(tmp_path / name for name in ("none", "samples", "runs", "decisions")))
    found = trace(samples / "000000.png", places)
    assert found.drawn["guidance_scale"] == 2.0
    assert [model.stage for model in found.models] == ["autoencoder", "diffusion", "guide"]
    assert found.models[2].place == str(folder)
    assert len(found.sources) == 5  # what the guide has seen
    assert "guidance_scale 2.0, guide (kind model, path" in as_text(found, listed=False)

    for stage in ("autoencoder", "diffusion"):
        (tmp_path / "champion" / stage).parent.mkdir(exist_ok=True)
        (tmp_path / "champion" / stage).symlink_to(getattr(chain, stage))
    shutil.copy(samples / "samples.json", tmp_path / "champion")
    [picture] = load_champion_folder(tmp_path / "champion").draw([SAMPLE.seed])
    assert np.abs(pictures(samples)[0].astype(int) - picture).max() <= 1


def test_a_guide_that_does_not_fit_is_refused(chain, smaller, tmp_path):
    folder, guide = smaller

    def refused(match, **changes):
        with pytest.raises(BadInput, match=match):
            draw(chain, tmp_path / "none", guidance_scale=2.0, guide=replace(guide, **changes))
        assert not (tmp_path / "none").exists()

    refused("correct the path or the sha256", sha256="0" * 64)
    refused("cannot be read", path=str(tmp_path / "nowhere"))
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    record = json.loads((other / "config.json").read_text())
    for name, value in (("autoencoder_sha256", "f" * 64), ("level_shapes", [[6, 1, 1]])):
        (other / "config.json").write_text(json.dumps(record | {name: value}))
        refused(f"{name} .* both must be trained on the same latents", path=str(other))
    record["config"]["windows"] = [[0.0, 0.5], [0.1, 0.8], [0.3, 1.0]]
    (other / "config.json").write_text(json.dumps(record))
    refused("windows .* both need the same ones", path=str(other))


def test_an_ema_before_the_first_snapshot_is_refused(chain, tmp_path):
    with pytest.raises(BadInput, match="EMA snapshots at 16, 32 images, but none at 8"):
        draw(chain, tmp_path / "x", guidance_scale=2.0, guide=replace(EARLIER, images_seen=8))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_an_ema_by_its_share_of_the_training_is_the_nearest_before_the_end(chain, tmp_path, share):
    by_share = replace(EARLIER, images_seen=None, training_share=share)
    drawn = [
        draw(chain, tmp_path / str(number), guidance_scale=4.0, guide=guide, **FEW)
        for number, guide in enumerate((by_share, replace(EARLIER, images_seen=16)))
    ]
    assert (pictures(drawn[0]) == pictures(drawn[1])).all()


def test_a_share_of_a_training_without_earlier_snapshots_is_refused(chain, tmp_path):
    diffusion = tmp_path / "diffusion"
    shutil.copytree(chain.diffusion, diffusion)
    for file in (diffusion / "ema").glob("000000016-*"):
        file.unlink()
    guide = replace(EARLIER, images_seen=None, training_share=0.25)
    with pytest.raises(BadInput, match=r"before the end .* set sample\.guidance_scale to"):
        draw(replace(chain, diffusion=diffusion), tmp_path / "x", guidance_scale=2.0, guide=guide)


@pytest.mark.parametrize("name", ["ema_lengths=[]", "save_every_images=12800"])
def test_params_whose_training_keeps_no_earlier_ema_are_refused(tmp_path, name):
    path = tmp_path / "params.yaml"
    shutil.copy(DEFAULT, path)
    with pytest.raises(BadInput, match=name.split("=")[0]) as refused:
        set_values(path, [f"diffusion.training.{name}"])
    assert "sample.guide is an earlier EMA" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"guidance_scale": 2.0}, "guide: expected one, or guidance_scale: 1.0"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a number of at least 0"),
        ({"guidance_interval": (0.6, 0.6)}, "guidance_interval: expected a start below an end"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        replace(SAMPLE, **changes)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kind": "model", "path": "x"}, r"sha256: expected a value with kind model"),
        ({"kind": "model", "path": "x", "sha256": "abc"}, r"sha256: expected 64 digits"),
        ({"kind": "ema", "ema_length": 0.1}, "images_seen: expected a number, or a training_share"),
        ({"kind": "ema", "ema_length": 0.5, "images_seen": 1}, "from 0.0001 to 0.28"),
        (
            {"kind": "ema", "ema_length": 0.1, "images_seen": 1, "training_share": 0.5},
            "not both",
        ),
        (
            {"kind": "ema", "ema_length": 0.1, "images_seen": 1, "path": "x"},
            r"path: expected none with ema",
        ),
    ],
)
def test_a_guide_needs_what_belongs_to_its_kind(settings, match):
    with pytest.raises(ValueError, match=match):
        GuideConfig(**settings)


def test_norms_of_other_weights_are_estimated_again():
    torch.manual_seed(0)
    unet = PyramidUNet(DIFFUSION.model, (6, 4, 3), ("global", 8, 4)).eval()
    with torch.no_grad():
        for weight in unet.parameters():
            weight.normal_()
    plain = bake_spectral_norms(settle_spectral_norms(unet))
    sides = [
        torch.linalg.matrix_norm(one.weight.flatten(1), 2)
        for one in (plain.down[0].modules())
        if isinstance(one, torch.nn.Conv2d) and one.kernel_size == (3, 3)
    ]
    assert sides
    assert not plain.training
    # Power iterations come near from below.
    assert max(sides).item() == pytest.approx(1, abs=0.1)


def test_a_network_with_another_ema_length_draws_with_spectral_norms_of_one(chain):
    """They were estimated on other weights; `load_networks` estimates them again."""
    config = replace(SAMPLE, ema_length=0.07)
    network = load_networks(chain.diffusion, config, torch.device("cpu")).network
    trained = PyramidUNet.from_pretrained(chain.diffusion)
    normed = [
        name
        for name, module in trained.named_modules()
        if parametrize.is_parametrized(module, "weight")
    ]
    norms = [
        torch.linalg.matrix_norm(network.get_submodule(name).weight.flatten(1), 2)
        for name in normed
    ]
    assert normed
    torch.testing.assert_close(torch.stack(norms), torch.ones(len(norms)), atol=0.01, rtol=0)
