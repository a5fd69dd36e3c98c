"""LDM's network of text behind the project's interface: it reads captions and learns from them."""

import pytest
import torch
from torch.nn import functional as F

from pdm.baselines.unets import LatentUNet
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.networks.text import TextTransformerConfig
from pdm.models.condition import Condition
from pdm.models.noise_schedule import betas_of, cumulative_alphas

TEXT = TextTransformerConfig(
    vocabulary_size=12, max_tokens=5, width=16, depth=1, num_heads=2, head_width=8
)
MASK = torch.tensor([[True, True, True, False, False]]).repeat(4, 1)
WORDS = torch.tensor([[2, 7, 3, 0, 0], [2, 8, 3, 0, 0]] * 2)


def network(**changes) -> LatentUNet:
    torch.manual_seed(0)
    settings = {"name": "txt2img", "base_width": 32, "predicts": "velocity"}
    config = LatentUNetConfig(**(settings | {"token_width": 16, "text": TEXT} | changes))
    return LatentUNet(config, (4,), (8,))


def test_the_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        config = LatentUNetConfig(
            name="txt2img", base_width=320, predicts="noise", token_width=1280
        )
        model = LatentUNet(config, (4,), (8,))
        assert sum(weight.numel() for weight in model.network.parameters()) == 872_300_484


def test_its_noise_schedule_is_that_of_the_release():
    assert betas_of("txt2img") == (0.00085, 0.012)
    assert cumulative_alphas(*betas_of("txt2img"))[-1].item() == pytest.approx(4.66e-3, rel=1e-2)


def test_it_learns_what_the_words_say_and_reads_no_padding():
    """Word 7 means latents of 1, word 8 of -1; at time 0, velocities must be 1 or -1 less noise."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    target = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(4, 1, 1, 1).expand(4, 4, 8, 8)
    condition = Condition(tokens=WORDS, mask=MASK)
    generator = torch.Generator().manual_seed(1)
    for _ in range(45):
        noise = torch.randn(4, 4, 8, 8, generator=generator)
        (velocity,) = model((noise,), torch.zeros(4), condition)
        loss = F.mse_loss(velocity + noise, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    other = Condition(tokens=torch.where(MASK, WORDS, 5), mask=MASK)
    with torch.no_grad():
        (found,) = model((noise,), torch.zeros(4), condition)
        (same,) = model((noise,), torch.zeros(4), other)
        (encoded,) = model((noise,), torch.zeros(4), model.encode_text(condition))
    means = (found + noise).mean(dim=(1, 2, 3))
    assert means[0::2].min() > means[1::2].max() + 0.5
    assert torch.equal(found, same)
    assert torch.equal(found, encoded)


def test_it_comes_back_from_its_folder(tmp_path):
    model = network().eval()
    model.save_pretrained(tmp_path / "model")
    loaded = LatentUNet.from_pretrained(tmp_path / "model")
    assert loaded.condition_sizes == model.condition_sizes
    assert loaded.condition_sizes.text == TEXT
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
