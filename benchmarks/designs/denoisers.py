"""The diffusion models whose quality is compared: equal latent values, parameters within 5 %.

All are sampled with the same number of evaluations. `ldm-f8` is as published: one latent at an
eighth of the side, divided by one standard deviation; it predicts noise and is sampled by DDIM. Its
initial weights are those of LDM's code. `pdm paper` is the pyramid as its paper describes it; each
of ADDITIONS changes one thing, and `pdm` has those that helped. Only the row without branches has
over 5 % fewer parameters.
"""

import dataclasses
from typing import Any, Literal

from benchmarks.parts.training.in_memory import ENDLESS
from benchmarks.shared.checkout import ROOT
from pdm import params
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.sample import SampleConfig
from pdm.config.training.loop import TrainingConfig

Scale = Literal["channel", "scalar"]
EVALUATIONS = 50
LDM_WIDTH = 32  # of its `celeba` layout: 5.6 million parameters
LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Design:
    """What differs between the rows.

    Args:
        scale: Of the latents: one standard deviation per channel, or one for all values.
        model: Changes of the paper's network.
        flow: Changes of the paper's training.
        sample: Changes of Euler's method in even steps.
        predicts: What LDM's network predicts; None for the pyramid's network.
    """

    scale: Scale = "channel"
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    flow: dict[str, Any] = dataclasses.field(default_factory=dict)
    sample: dict[str, Any] = dataclasses.field(default_factory=dict)
    predicts: Literal["noise", "velocity"] | None = None


# Enlarged in training, clamped in sampling: both readings of the paper's range
PAPER_MODEL: dict[str, Any] = {
    "widths": (48, 92, 152),
    "blocks": (1, 2, 2),
    "embedding_width": 256,
    "branches": True,
    "windows": None,
    "input_stream": True,
    "output_stream": True,
    "resampling": "fir",
    "attention_from": 16,
    "attention_ratio": "shape",
    "dropout": (0.0, 0.05, 0.1),
    "dropout_falls": False,
    "spectral_norm": True,
    "condition": None,
}
PAPER_FLOW: dict[str, Any] = {
    "timesteps": "uniform",
    "time_shift": 1.0,
    "time_margin": 0.02,
    "level_loss_weights": (1.0,) * 4,
}
PLAIN_STREAMS = {"input_stream": False, "output_stream": False, "resampling": "box"}
LOGIT_NORMAL = {"timesteps": "logit_normal", "time_margin": 0.0}
WINDOWS = ((0.0, 0.7), (0.1, 0.8), (0.2, 0.9), (0.3, 1.0))
MULTISTEP = {"sampler": "multistep"}
DDIM = {"sampler": "ddim"}

LEVEL_WINDOWS = Design(
    model={"windows": WINDOWS},
    flow={"time_margin": 0.0},
    sample={"steps": EVALUATIONS - 6},  # each begins and ends in a step of its own
)
OURS = Design(
    model=LEVEL_WINDOWS.model | {"spectral_norm": False},
    flow=LEVEL_WINDOWS.flow | {"time_shift": 2.5},
    sample=LEVEL_WINDOWS.sample | {"time_shift": 2.5},
)
# The best that was tried for LDM; noisier times made it worse (docs/log.md).
OUR_FLOW = Design(predicts="velocity", flow=LOGIT_NORMAL, sample=MULTISTEP)

ADDITIONS: dict[str, Design] = {
    "logit-normal times": Design(flow=LOGIT_NORMAL),
    "multistep sampler": Design(sample=MULTISTEP),
    "a window for each level": LEVEL_WINDOWS,
    "times shifted to noise": Design(flow={"time_shift": 1.5}, sample={"time_shift": 1.5}),
    "shifted further": Design(flow={"time_shift": 2.5}, sample={"time_shift": 2.5}),
    "box resampling, no streams": Design(model=PLAIN_STREAMS),
    "equal attention weights": Design(model={"attention_ratio": "equal"}),
    "without spectral norm": Design(model={"spectral_norm": False}),
    "without dropout": Design(model={"dropout": (0.0,) * 3}),
    "without branches": Design(
        model={"branches": False, "input_stream": False, "output_stream": False}
    ),
    "one standard deviation for all levels": Design(scale="scalar"),
}
DESIGNS: dict[str, Design] = {
    "pdm paper": Design(),
    "pdm": OURS,
    "ldm-f8": Design("scalar", predicts="noise", sample=DDIM),
    "ldm-f8 by channel": Design(predicts="noise", sample=DDIM),
    "ldm-f8 by channel, our flow": OUR_FLOW,
    **ADDITIONS,
}


def config_of(
    name: str, seed: int, learning_rate: float, total_images: int | None
) -> DiffusionConfig:
    """All training settings of a design."""
    design, default = DESIGNS[name], params.load(ROOT / "params.yaml").diffusion
    assert default.model is not None
    flow = PAPER_FLOW | design.flow
    if design.predicts is not None:
        flow |= {"level_loss_weights": (1.0,), "time_margin": 0.0}
    if design.predicts == "noise":
        flow |= {"timesteps": "ldm"}
    return dataclasses.replace(
        default,
        model=dataclasses.replace(default.model, **(PAPER_MODEL | design.model)),
        baseline=design.predicts
        and LatentUNetConfig(name="celeba", base_width=LDM_WIDTH, predicts=design.predicts),
        training=training_config(default.training, seed, learning_rate, total_images or ENDLESS),
        **flow,
    )


def sampling_of(name: str) -> SampleConfig:
    """Settings with which a design is sampled."""
    plain = {
        "sampler": "euler",
        "steps": EVALUATIONS,
        "eta": 0.0,
        "time_shift": 1.0,
        "time_margin": 1e-3,
        "clamp_latents": 0.0,  # the tails of wavelets are long
        "ema_length": None,
    }
    default = params.load(ROOT / "params.yaml").sample
    changes: dict[str, Any] = plain | DESIGNS[name].sample
    return dataclasses.replace(default, **changes)


def training_config(
    default: TrainingConfig, seed: int, learning_rate: float, total_images: int
) -> TrainingConfig:
    return dataclasses.replace(
        default,
        batch_size=32,
        total_images=total_images,
        learning_rate=learning_rate,
        warmup_images=640,
        ema_half_life_images=2000,
        ema_lengths=(),
        log_every_images=1600,
        save_every_images=total_images,
        seed=seed,
    )
