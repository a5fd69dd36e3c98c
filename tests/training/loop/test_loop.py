import itertools

import pytest
import torch
from torch import Tensor, nn

from pdm.config.training.loop import TrainingConfig
from pdm.data.order import images_at
from pdm.errors import Preempted, QualityGate
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.distributed.workers import Workers
from pdm.training.loop.seeds import normal_pyramid_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

CPU = Workers(torch.device("cpu"))


def config(**changes) -> TrainingConfig:
    values = {
        "num_workers": 1,
        "strategy": "ddp",
        "batch_size": 4,
        "accumulation": 1,
        "total_images": 48,
        "optimizer": "adamw",
        "betas": (0.9, 0.999),
        "learning_rate": 0.05,
        "warmup_images": 8,
        "schedule": "constant",
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "max_skipped_steps": 0,
        "ema_half_life_images": 10,
        "ema_lengths": (),
        "precision": "float32",
        "checkpoint_activations": False,
        "compile": False,
        "log_every_images": 8,
        "save_every_images": 16,
        "keep_checkpoints": 2,
        "keep_every_images": None,
        "keep_runs": 1,
        "seed": 0,
    }
    return TrainingConfig(**(values | changes))


class Network(nn.Module):
    """A regression with dropout, so that resumed randomness is put to the test."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Dropout(dropout), nn.Linear(8, 1))

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        error = (self.layers(x) - y).square()
        return {"loss": error.mean(), "loss_part": torch.stack([error.min(), error.max()])}


class Numbers:
    """Seven points, each drawn with fresh noise whenever it is shown."""

    def __init__(self) -> None:
        self.points = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
        self.seen: list[int] = []

    def load(self, positions):
        indices = images_at(positions, 7, seed=0)
        self.seen += indices.tolist()
        (noise,) = normal_pyramid_at(0, positions, "noise", [(6, 1, 1)])
        x = self.points[indices] + 0.1 * noise[:, :, 0, 0]
        return x, x.sum(dim=1, keepdim=True)

    def keys(self, positions):
        return [f"key{index}" for index in images_at(positions, 7, seed=0)]


class Recorder:
    """A run that keeps checkpoints in a folder and everything else in lists."""

    def __init__(self, folder, stop_at: int | None = None) -> None:
        self.checkpoints = Checkpoints(folder, keep=2)
        self.logged: dict[int, dict[str, float]] = {}
        self.scored: list[int] = []
        self.calls, self.stop_at = itertools.count(1), stop_at

    def log(self, metrics, images_seen):
        self.logged[images_seen] = metrics

    def save(self, state):
        self.checkpoints.begin(state)

    def score(self, state):
        self.scored.append(state.images_seen)

    def lacks_score(self, images_seen):
        return False

    def flush(self):
        self.checkpoints.flush()

    def save_failed(self):
        return self.checkpoints.failed()

    def newest(self):
        self.checkpoints.flush()
        return f"checkpoint {self.checkpoints.newest()}"

    def stop_requested(self):
        return next(self.calls) == self.stop_at


def fresh(settings: TrainingConfig, dropout: float = 0.5) -> tuple[TrainState, Network]:
    torch.manual_seed(settings.seed)
    network = Network(dropout)
    return TrainState(network, settings), network


def equal(first: TrainState, second: TrainState) -> bool:
    tensors = [
        [*state.model.parameters(), *state.ema.parameters()]
        + [mean for means in state.ema_weights.values() for mean in means]
        + [values[name] for values in state.optimizer.state.values() for name in sorted(values)]
        for state in (first, second)
    ]
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_a_run_stopped_and_resumed_twice_equals_an_unbroken_one(tmp_path):
    settings, data = config(ema_lengths=(0.05, 0.1)), Numbers()
    unbroken, network = fresh(settings)
    record = Recorder(tmp_path / "unbroken")
    train(unbroken, network, data, settings, record, CPU)

    metrics: dict[int, float] = {}
    for stop_at in (3, 4, None):
        torch.manual_seed(99)  # whatever else drew random numbers must not matter
        state, network = fresh(settings)
        run = Recorder(tmp_path / "broken", stop_at)
        if newest := run.checkpoints.newest():
            state.load(run.checkpoints.path(newest))
        try:
            train(state, network, data, settings, run, CPU)
        except Preempted:
            assert stop_at is not None
        metrics |= {seen: values["loss"] for seen, values in run.logged.items()}
    assert state.images_seen == 48
    assert equal(state, unbroken)
    # 16 and 28 images lie between two lines of the log: only the means that span them differ.
    assert metrics[48] == record.logged[48]["loss"]


def test_a_killed_training_resumes_from_its_checkpoint(tmp_path):
    settings = config()
    unbroken, network = fresh(settings)
    train(unbroken, network, Numbers(), settings, Recorder(tmp_path / "a"), CPU)

    class Killed(Recorder):
        def log(self, metrics, images_seen):
            if images_seen == 40:
                self.flush()  # or the checkpoint might be lost with the process
                raise KeyboardInterrupt

    state, network = fresh(settings)
    with pytest.raises(KeyboardInterrupt):
        train(state, network, Numbers(), settings, Killed(tmp_path / "b"), CPU)
    state, network = fresh(settings)
    run = Recorder(tmp_path / "b")
    assert run.checkpoints.newest() == 32
    state.load(run.checkpoints.path(32))
    train(state, network, Numbers(), settings, run, CPU)
    assert equal(state, unbroken)


def test_a_stop_keeps_a_checkpoint_and_says_how_far_it_came(tmp_path):
    settings = config()
    state, network = fresh(settings)
    run = Recorder(tmp_path, stop_at=3)
    with pytest.raises(Preempted, match=r"after 12 of 48 images; .* from checkpoint 12"):
        train(state, network, Numbers(), settings, run, CPU)


def test_accumulated_batches_equal_one_big_batch(tmp_path):
    results = []
    for accumulation in (1, 4):
        settings = config(accumulation=accumulation)
        state, network = fresh(settings, dropout=0.0)
        data, run = Numbers(), Recorder(tmp_path / str(accumulation))
        train(state, network, data, settings, run, CPU)
        # Adam's steps and clipped ones forget how long the gradient was; the log does not.
        norms = [values["grad_norm"] for values in run.logged.values()]
        results.append((list(state.model.parameters()), data.seen, norms))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert results[0][2] == pytest.approx(results[1][2], rel=1e-4)


def test_a_loss_that_is_not_finite_names_images_and_the_last_good_checkpoint(tmp_path):
    class Poisoned(Numbers):
        def load(self, positions):
            x, y = super().load(positions)
            return x, y * (float("nan") if 36 in positions else 1)

    settings = config()
    state, network = fresh(settings)
    run = Recorder(tmp_path)
    keys = ", ".join(Numbers().keys(range(36, 40)))
    with pytest.raises(QualityGate) as caught:
        train(state, network, Poisoned(), settings, run, CPU)
    text = str(caught.value)
    assert "after 36 images: the loss is nan" in text
    assert keys in text
    assert "checkpoint 32" in text
    assert all(weight.isfinite().all() for weight in state.model.parameters())


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone(tmp_path):
    class Steep(Network):
        def forward(self, x, y):
            losses = super().forward(x, y)
            return losses | {"loss": losses["loss"] + (self.layers[0].weight * 0).sum().sqrt()}

    settings = config()
    network = Steep()
    state = TrainState(network, settings)
    before = [weight.clone() for weight in network.parameters()]
    with pytest.raises(QualityGate, match="norm of the gradient is nan"):
        train(state, network, Numbers(), settings, Recorder(tmp_path), CPU)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


class PoisonedTwice(Numbers):
    """Two steps of the run, one after the other, have a loss that is no number."""

    def load(self, positions):
        x, y = super().load(positions)
        return x, y * (float("nan") if positions.start in (16, 20) else 1)


def test_few_steps_that_are_not_finite_are_skipped_logged_and_counted(tmp_path, caplog):
    settings = config(max_skipped_steps=2)
    state, network = fresh(settings)
    run = Recorder(tmp_path)
    train(state, network, PoisonedTwice(), settings, run, CPU)
    counts = {float(values["step"]) for values in state.optimizer.state.values()}
    assert counts == {48 / 4 - 2}
    assert state.images_seen == 48
    weights = (*network.parameters(), *state.ema.parameters())
    assert all(weight.isfinite().all() for weight in weights)
    skipped = {at: values["skipped_steps"] for at, values in run.logged.items()}
    assert skipped == {8: 0.0, 16: 0.0, 24: 1.0, 32: 0.0, 40: 0.0, 48: 0.0}
    assert [text.split(", worker")[0] for text in caplog.messages] == [
        "after 16 images",
        "after 20 images",
    ]


def test_one_step_more_than_may_be_skipped_ends_the_run(tmp_path):
    settings = config(max_skipped_steps=1)
    state, network = fresh(settings)
    with pytest.raises(QualityGate, match="after 20 images: the loss is nan"):
        train(state, network, PoisonedTwice(), settings, Recorder(tmp_path), CPU)


def test_images_that_cannot_be_read_are_reported_not_trained_on(tmp_path):
    class Damaged(Numbers):
        def load(self, positions):
            if 8 in positions:
                raise QualityGate("train-000001.tar is damaged")
            return super().load(positions)

    settings = config()
    state, network = fresh(settings)
    with pytest.raises(QualityGate, match=r"after 8 images: train-000001\.tar is damaged"):
        train(state, network, Damaged(), settings, Recorder(tmp_path), CPU)


def test_the_log_has_means_speed_and_each_entry_of_a_vector(tmp_path):
    settings = config()
    state, network = fresh(settings)
    run = Recorder(tmp_path)
    train(state, network, Numbers(), settings, run, CPU, flops_per_image=1e6)
    assert list(run.logged) == [8, 16, 24, 32, 40, 48]
    assert set(run.logged[8]) == {
        "loss",
        "loss_part_0",
        "loss_part_1",
        "grad_norm",
        "skipped_steps",
        "learning_rate",
        "images_per_second",
        "flops_utilisation",
        "data_wait_fraction",
        "logging_fraction",
        "saving_fraction",
        "scoring_fraction",
        "cpu_seconds",
        "gpu_seconds",
    }
    assert run.logged[8]["cpu_seconds"] > 0
    assert run.logged[8]["gpu_seconds"] == 0
    assert run.logged[48]["loss"] < run.logged[8]["loss"]


def test_bfloat16_trains_too(tmp_path):
    settings = config(precision="bfloat16", total_images=16)
    state, network = fresh(settings)
    train(state, network, Numbers(), settings, Recorder(tmp_path), CPU)
    assert all(weight.dtype == torch.float32 for weight in state.model.parameters())
