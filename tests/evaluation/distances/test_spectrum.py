import numpy as np
import pytest

from pdm.evaluation.distances.spectrum import frequencies, power_spectra, spectrum_difference


def noise(count=40, height=64, width=96, scale=20.0):
    random = np.random.default_rng(0)
    picture = random.normal(128, scale, (count, height, width, 1)).repeat(3, axis=3)
    return picture.clip(0, 255).astype(np.uint8)


def test_white_noise_has_the_same_power_at_every_frequency():
    spectrum = power_spectra(noise()).mean(0)
    variance = (20 / 255) ** 2
    np.testing.assert_allclose(spectrum[1:], variance, rtol=0.15)


def test_a_wave_shows_at_its_frequency():
    x = np.arange(128)
    row = 128 + 100 * np.cos(2 * np.pi * 0.25 * x)
    picture = np.broadcast_to(row[None, :, None], (64, 128, 3)).astype(np.uint8)
    spectrum = power_spectra(picture[None])[0]
    assert frequencies(len(spectrum))[spectrum.argmax()] == pytest.approx(0.25)


def test_half_the_contrast_is_six_decibels_less():
    full, half = (power_spectra(noise(scale=scale)).mean(0) for scale in (24.0, 12.0))
    assert spectrum_difference(half, full) == pytest.approx(6.02, abs=0.15)
    assert spectrum_difference(full, full) == 0


@pytest.mark.parametrize("size", [(8, 8), (16, 32), (33, 17)])
def test_small_pictures_fill_every_bin(size):
    assert (power_spectra(noise(3, *size)) > 0).all()
