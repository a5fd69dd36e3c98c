"""A regression on points drawn by position: the smallest training that has all its parts."""

from torch import nn

from pdm.config.common import TrainingConfig
from pdm.training.seeds import normal_pyramid_at

CONFIG = TrainingConfig(
    num_workers=2,
    strategy="ddp",
    batch_size=8,
    accumulation=2,
    total_images=48,
    optimizer="adamw",
    learning_rate=0.1,
    warmup_images=0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    ema_half_life_images=8,
    ema_lengths=(),
    precision="float32",
    checkpoint_activations=False,
    compile=False,
    log_every_images=8,
    save_every_images=16,
    keep_checkpoints=2,
    seed=0,
)


class Regression(nn.Module):
    """Its loss is the squared error of the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x, y):
        return {"loss": (self.layer(x) - y).square().mean()}


class Points:
    """Remembers which positions were asked for."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def load(self, positions):
        self.seen += positions
        (x,) = normal_pyramid_at(0, positions, "x", [(3, 1, 1)])
        return x[:, :, 0, 0], x.sum(dim=1)[:, :, 0]

    def keys(self, positions):
        return [f"point{position}" for position in positions]
