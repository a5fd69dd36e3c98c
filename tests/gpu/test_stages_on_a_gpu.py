"""What the stages compute on a GPU is what they compute on a CPU, to within rounding."""

import numpy as np
import pytest
import torch

from pdm.data.image_tensors import RawImages
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.reconstruction import ms_ssim
from pdm.machine.device import exact_convolutions
from pdm.training.loop.prefetch import prefetch_batches

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine"),
]
GPU = torch.device("cuda")


def images_of(count, side=64):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
    return RawImages(pixels, torch.tensor([1]))


def test_images_converted_on_the_gpu_have_the_values_of_the_cpu():
    raw = images_of(3)
    ((_, (images,)),) = prefetch_batches(lambda positions: (raw,), [range(3)], GPU)
    assert images.device.type == "cuda"
    torch.testing.assert_close(images.cpu(), raw.images(), atol=1e-6, rtol=0)


def test_features_and_ms_ssim_on_the_gpu_are_those_of_the_cpu():
    images = images_of(3, side=256).images()
    extractor = RandomConvFeatures(16, seed=0)
    expected = extractor(images).numpy()
    with exact_convolutions():
        found = extractor.to(GPU)(images).numpy()
        similarity = ms_ssim(images.to(GPU), images.flip(3).to(GPU), 2.0).cpu()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(similarity, ms_ssim(images, images.flip(3), 2.0))
