"""Latents of the pyramid autoencoder: their statistics, and levels with and without KL."""

import pytest
import torch
from small_autoencoder import deterministic, images, model


@torch.no_grad()
def test_latents_come_out_standardised_by_the_statistics_set():
    autoencoder, batch = model(), images(count=64)
    raw, _ = autoencoder.posterior(batch)
    autoencoder.set_statistics(
        [level.mean((0, 2, 3)) for level in raw],
        [level.std((0, 2, 3), correction=0) for level in raw],
    )
    for level in autoencoder.encode(batch):
        torch.testing.assert_close(
            level.mean((0, 2, 3)), torch.zeros(level.shape[1]), atol=1e-4, rtol=0
        )
        ones = torch.ones(level.shape[1])
        torch.testing.assert_close(level.std((0, 2, 3), correction=0), ones, atol=1e-4, rtol=0)


@torch.no_grad()
def test_decoding_undoes_the_standardisation():
    autoencoder, batch = model(), images()
    raw, _ = autoencoder.posterior(batch)
    expected = autoencoder.decode_raw(raw).clamp(-1, 1)
    channels = autoencoder.level_channels
    autoencoder.set_statistics(
        [torch.linspace(-1, 1, count) for count in channels],
        [torch.linspace(0.5, 3, count) for count in channels],
    )
    found = autoencoder.decode(autoencoder.encode(batch))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chosen", [(), (0,), (1, 3), (0, 1, 2, 3)])
def test_a_level_without_kl_has_no_log_variance_and_a_head_of_half_the_channels(chosen):
    means, log_variances = deterministic(*chosen).posterior(images())
    assert [index for index, found in enumerate(log_variances) if found is None] == list(chosen)
    for mean, log_variance in zip(means, log_variances, strict=True):
        assert log_variance is None or mean.shape == log_variance.shape
    usual, fewer = model(), deterministic(*chosen)
    heads = [(12, 6), (12 * 9, 5), (8 * 9, 4), (8 * 9, 3)]
    saved = sum((fan + 1) * channels for fan, channels in (heads[index] for index in chosen))
    counts = [sum(weight.numel() for weight in one.parameters()) for one in (usual, fewer)]
    assert counts[0] - counts[1] == saved


def test_only_levels_with_kl_are_penalised():
    autoencoder = deterministic(0, 2)
    means, log_variances = autoencoder.posterior(images())
    penalty, terms = autoencoder.penalty(means, log_variances)
    assert list(terms) == ["kl_level_1", "kl_level_3"]
    assert penalty.item() == pytest.approx(1e-6 * sum(term.item() for term in terms.values()))


def test_a_level_with_kl_starts_nearly_free_of_noise():
    _, log_variances = deterministic(1).posterior(images())
    for found in (level for level in log_variances if level is not None):
        assert torch.equal(found, torch.full_like(found, -6.0))
