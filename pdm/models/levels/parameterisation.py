"""What a network predicts: the velocity of a level, or its data (x-prediction).

Both say the same, since on the straight path x = t data + (1 - t) noise the velocity is
(data - x) / (1 - t). But a network finds data easier to predict where a position holds many values
that are not independent, such as a global latent: data lie near a surface of fewer dimensions,
noise does not (JiT, arXiv:2511.13720).
"""

from torch import Tensor

MIN_TIME_LEFT = 1e-3  # least time left to the data, by which a prediction is divided
MIN_TIME_LEFT_IN_LOSS = 0.05  # the same in the loss, as in JiT


def velocity_of_data(data: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Return the velocity that leads from x at time t to the data at time 1; the dtype of x.

    Args:
        data, x: (B, C, h, w).
        t: (B,); times above 1 count as 1.
    """
    left = (1 - t).clamp_min(MIN_TIME_LEFT).view(-1, 1, 1, 1)
    return ((data.float() - x.float()) / left).to(x.dtype)


def data_loss_weight(t: Tensor) -> Tensor:
    """Return the factor of the squared error of a velocity that comes from predicted data.

    Near the data, at 1 - t below `MIN_TIME_LEFT_IN_LOSS`, a small error of the data is a large
    one of the velocity. With this factor the loss is that of JiT, whose velocities are divided by
    no less than that.
    """
    left = (1 - t).clamp_min(0)
    return (left / left.clamp_min(MIN_TIME_LEFT_IN_LOSS)).square()
