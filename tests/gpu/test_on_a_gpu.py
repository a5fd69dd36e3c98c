"""What holds on a GPU: at the size of the preset for 2048x2048 there, at a tiny one on a CPU.

make test-gpu     # only the tests on a GPU; they are skipped without one
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.parts.gpu.basics import relative_difference
from benchmarks.parts.gpu.sizes import Size, build_autoencoder, build_unet, level_shapes_of, size_of
from benchmarks.parts.gpu.training import Crops, Latents, StepClock
from pdm.diffusion.samplers import euler, noise_from_seeds
from pdm.diffusion.sampling_times import even_times
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.training.distributed.workers import Workers
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses

NO_GPU = "torch sees no GPU on this machine"
GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)],
)


@dataclass(frozen=True)
class Place:
    """A device, and the size that is tested on it."""

    device: torch.device
    size: Size

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    def to_device(self, pyramid):
        return tuple(level.to(self.device) for level in pyramid)


@pytest.fixture(params=["cpu", GPU])
def place(request) -> Iterator[Place]:
    on_gpu = request.param == "cuda"
    if on_gpu:  # the reference is float32 throughout
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield Place(torch.device(request.param), size_of("full" if on_gpu else "tiny"))
    if on_gpu:
        torch.cuda.empty_cache()


@pytest.fixture
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip(NO_GPU)
    return torch.device("cuda")


def losses_and_data(name: str, size: Size, device: torch.device):
    if name == "unet":
        model = build_unet(size, device)
        return model, FlowLosses(model, size.diffusion.level_loss_weights), Latents(size)
    model = build_autoencoder(size, device)
    return model, AutoencoderLosses(model, size.autoencoder, None, None), Crops(size)


def settings_of(name: str, size: Size):
    return size.diffusion.training if name == "unet" else size.autoencoder.training


@pytest.mark.parametrize("name", ["unet", "autoencoder"])
def test_losses_and_gradients_in_bfloat16_are_near_those_in_float32(name, place):
    model, losses, data = losses_and_data(name, place.size, place.device)
    batch = data.load(range(settings_of(name, place.size).batch_size))
    batch = tuple(move(part, place.device) for part in batch)
    found = []
    for reduced in (False, True):
        torch.manual_seed(0)
        with torch.autocast(place.device.type, torch.bfloat16, enabled=reduced):
            loss = losses(*batch)["loss"]
        loss.backward()
        gradients = [one.grad.flatten() for one in model.parameters() if one.grad is not None]
        found.append((loss.item(), torch.cat(gradients)))
        losses.zero_grad(set_to_none=True)
    (loss, gradient), (reduced_loss, reduced_gradient) = found
    assert reduced_loss == pytest.approx(loss, rel=0.01)
    assert torch.cosine_similarity(gradient, reduced_gradient, dim=0) > 0.99


def move(part, device):
    if isinstance(part, torch.Tensor):
        return part.to(device)
    return tuple(move(one, device) for one in part) if isinstance(part, tuple) else part


@torch.no_grad()
def test_latents_drawn_in_bfloat16_are_near_those_in_float32(place):
    unet = bake_spectral_norms(build_unet(place.size, place.device).eval())
    noise = place.to_device(noise_from_seeds([0], level_shapes_of(place.size)))
    expected = euler(unet, noise, even_times(10))
    with torch.autocast(place.device.type, torch.bfloat16):
        found = euler(unet, noise, even_times(10))
    assert all(level.dtype == torch.float32 for level in found)  # the sampler's sums
    assert 0 < relative_difference(expected, found) < 0.02


@torch.no_grad()
def test_a_picture_decoded_by_tiles_equals_the_whole(place):
    autoencoder = bake_spectral_norms(build_autoencoder(place.size, place.device).eval())
    latents = place.to_device(noise_from_seeds([0], level_shapes_of(place.size)))
    whole, tiles = (
        autoencoder.decode(latents, place.size.picture, px) for px in (None, place.size.tile_px)
    )
    assert whole.shape[2:] == place.size.picture
    assert (whole - tiles).abs().max() < 1e-3


def train_to(name: str, place: Place, folder, steps: int, resume_from=None, clock=None) -> dict:
    """Train some steps, in all; the tensors of the model and its EMA."""
    model, losses, data = losses_and_data(name, place.size, place.device)
    config = settings_of(name, place.size)
    total = steps * config.batch_size
    config = replace(config, total_images=total, log_every_images=total, save_every_images=total)
    state, workers = TrainState(model, config), Workers(place.device)
    if resume_from is not None:
        state.load(resume_from)
    prepare_blocks(model, config, place.device)
    train(state, workers.wrap(losses, config), data, config, clock or StepClock({}), workers)
    state.save(folder)
    files = (load_file(folder / f"{file}.safetensors") for file in ("model", "ema"))
    return {
        f"{number}.{key}": one for number, file in enumerate(files) for key, one in file.items()
    }


@pytest.mark.parametrize("name", ["unet", "autoencoder"])
def test_a_resumed_training_equals_an_unbroken_one(name, place, tmp_path):
    expected = train_to(name, place, tmp_path / "unbroken", 2)
    train_to(name, place, tmp_path / "half", 1)
    found = train_to(name, place, tmp_path / "resumed", 2, tmp_path / "half")
    before = load_file(tmp_path / "half" / "model.safetensors")
    if not place.is_gpu:
        assert all(torch.equal(expected[key], found[key]) for key in expected)
        return
    # Kernels of a GPU add in any order. What that changes is small beside what a step changes.
    moved = [expected[f"0.{key}"] - one for key, one in before.items()]
    apart = [expected[f"0.{key}"] - found[f"0.{key}"] for key in before]
    assert norm(apart) < 0.05 * norm(moved)


def norm(tensors) -> float:
    return float(sum(one.double().square().sum() for one in tensors)) ** 0.5


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["unet", "autoencoder"])
def test_the_host_never_waits_for_the_gpu_between_two_log_lines(name, gpu, tmp_path):
    def forbid() -> None:
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")  # from here on waiting raises

    clock = StepClock({3: forbid, 6: lambda: torch.cuda.set_sync_debug_mode("default")})
    try:
        train_to(name, Place(gpu, size_of("full")), tmp_path / "run", 8, clock=clock)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert clock.step == 8


@pytest.mark.gpu
def test_a_compiled_training_equals_an_uncompiled_one(gpu, tmp_path):
    size = size_of("tiny")
    found = []
    for compiled in (False, True):
        training = replace(size.diffusion.training, compile=compiled, precision="float32")
        place = Place(gpu, replace(size, diffusion=replace(size.diffusion, training=training)))
        found.append(train_to("unet", place, tmp_path / str(compiled), 3))
    for key, expected in found[0].items():
        torch.testing.assert_close(found[1][key], expected, rtol=1e-3, atol=1e-4)
