import pytest
import torch
from torch import nn

from pdm import ema
from pdm.ema import coefficients, decay_at, gamma_of, load_ema
from pdm.errors import BadInput


def weights_of_steps(length: float, steps: int) -> torch.Tensor:
    """How much each step weighs in the average that `kept_at` makes."""
    found = torch.zeros(steps, dtype=torch.float64)
    for step in range(1, steps + 1):
        kept = decay_at(step, length)
        found *= kept
        found[step - 1] = 1 - kept
    return found


@pytest.mark.parametrize(("length", "exponent"), [(0.05, 16.97), (0.10, 6.94)])
def test_exponents_are_those_of_the_paper(length, exponent):
    """Karras et al., arXiv:2312.02696, section 3.1."""
    assert gamma_of(length) == pytest.approx(exponent, abs=0.005)


@pytest.mark.parametrize("length", [0.03, 0.1, 0.25])
def test_the_steps_weigh_as_the_profile_says(length):
    weights = weights_of_steps(length, 2000)
    assert weights.sum() == pytest.approx(1)
    assert (weights.diff() > 0).all()  # a power of the step: later ones weigh more
    times = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    mean = (weights * times).sum()
    deviation = (weights * (times - mean).square()).sum().sqrt()
    assert deviation.item() == pytest.approx(length, rel=1e-3)


def test_the_first_step_forgets_the_initial_weights():
    assert decay_at(1, 0.1) == 0


def test_a_saved_ema_is_returned_unchanged():
    kept = [(0.5, 0.05), (0.5, 0.1), (1.0, 0.05), (1.0, 0.1)]
    found = coefficients(kept, end=1.0, length=0.1)
    assert found == pytest.approx([0, 0, 0, 1], abs=1e-6)


@pytest.fixture(scope="module")
def path():
    """A training's weights as a walk that slows down, (steps, 50)."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.linspace(1, 0.1, 800)[:, None]
    return (sizes * torch.randn(800, 50, generator=generator)).cumsum(0)


@pytest.mark.parametrize("length", [0.03, 0.07, 0.13, 0.2])
def test_any_length_near_those_saved_equals_an_ema_tracked_directly(path, tmp_path, length):
    """Of 16 snapshots of two lengths; the error is measured against what the choice changes."""
    for known in (0.05, 0.1):
        mean = torch.zeros(50)
        for step in range(1, 801):
            mean.lerp_(path[step - 1], 1 - decay_at(step, known))
            if step % 50 == 0:
                name = ema.snapshot_name(step * 8, known)
                ema.write_snapshot(tmp_path / ema.FOLDER / name, {"weight": mean})
    direct = weights_of_steps(length, 800).float() @ path
    found = load_ema(tmp_path, length)["weight"]
    scale = (direct - path[-1]).norm()
    assert (found - direct).norm() < 0.06 * scale
    near = min((0.05, 0.1), key=lambda known: abs(known - length))
    nearest = weights_of_steps(near, 800).float() @ path
    assert (found - direct).norm() < 0.2 * (nearest - direct).norm()


def test_a_model_without_averages_is_named_with_what_to_do(tmp_path):
    with pytest.raises(BadInput, match=r"train it with training\.ema_lengths set"):
        load_ema(tmp_path, 0.1)


def test_a_damaged_average_is_refused(tmp_path):
    path = tmp_path / ema.FOLDER / ema.snapshot_name(8, 0.1)
    ema.write_snapshot(path, nn.Linear(2, 2).state_dict())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BadInput, match="cannot be read"):
        load_ema(tmp_path, 0.1)


def test_an_end_without_a_saved_ema_is_refused_and_the_saved_ones_are_listed(tmp_path):
    for seen in (800, 1600):
        path = tmp_path / ema.FOLDER / ema.snapshot_name(seen, 0.1)
        ema.write_snapshot(path, {"weight": torch.full((2,), float(seen))})
    assert load_ema(tmp_path, 0.1, 800)["weight"].tolist() == [800, 800]
    with pytest.raises(BadInput, match="EMA snapshots at 800, 1,600 images, but none at 1,000"):
        load_ema(tmp_path, 0.1, 1000)
