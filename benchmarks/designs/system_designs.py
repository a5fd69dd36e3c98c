"""Whole systems, a first stage and a flow, whose pictures are compared.

Both parts of every system are trained, each for half of the time. Latents of a picture of 64x64
have 256 independent values at most, and parameters, of both parts together, are equal within 5 %.
A level from which the means over the coarser grid are taken has three independent values in four:
the fourth follows from them, so that neither the decoder nor the flow has it. All first
stages have the default run's optimizer and perceptual term, by a network that judges nothing
afterwards. All systems take the same number of steps for a picture. Each is drawn twice from the
same noise: as it is, and guided by its own earlier self as the default run is, which takes a second
evaluation in each step.

`pdm` is the default run's recipe on a pyramid with nearly all of its independent values in the
finest level. Its first stage's loss has a projected discriminator, as the default run's has, and a
texture term. LDM's first stage is there with both, with the texture term alone and with neither.
Our earlier recipes are rows of their own: with the texture term alone, with neither, and two
layouts that counted all values and so had a fifth fewer independent ones, with three quarters of
them in the finest level, and with half of them as in the comparison of first stages alone.
LDM's flow is there in three variants, and DFM's recipe in two, as published and with a stage for
each level: ratios are to the best of them. DFM's and LapFlow's flows are on the first stage of
`pdm, with texture` and are compared with that row, so that only the flows differ.
"""

import dataclasses
from typing import Any, Literal

from benchmarks.designs import denoisers, first_stages
from benchmarks.designs.denoisers import EVALUATIONS, LDM_WIDTH
from benchmarks.parts.training.in_memory import ENDLESS
from benchmarks.shared.checkout import ROOT
from pdm import params
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.networks.level_times import LevelTimesConfig
from pdm.config.networks.packaged import NetworkName
from pdm.config.stages.autoencoder import AdversarialConfig, AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.sample import SampleConfig

TEACHER: NetworkName = "efficientnet-lite0"  # of the perceptual term
JUDGE: NetworkName = "efficientnet-lite1"  # trains nothing
TEXTURE = 2.0  # weight of the texture term, where a system has one
DISCRIMINATOR = AdversarialConfig(
    kind="projected", start_images=0, weight=0.1, width=16, learning_rate=1.0e-3
)

TRUNK: dict[str, Any] = denoisers.PAPER_MODEL | denoisers.PLAIN_STREAMS
STAGES = LevelTimesConfig(
    kind="stages",
    stage_levels=(2, 1),
    stage_probabilities=(0.9, 0.1),
    stage_steps=(3.0, 1.0),
    threshold=0.9,
    finished_location=1.5,
)
STAGES_OF_FOUR = dataclasses.replace(STAGES, stage_levels=(3, 1))
STAGE_PER_LEVEL = dataclasses.replace(
    STAGES, stage_levels=(1,) * 3, stage_probabilities=(1 / 3,) * 3, stage_steps=(1.0,) * 3
)
# LapFlow's level k runs from T_k to the end. A level is chosen in turn; all that run are trained.
LAPFLOW_WINDOWS = ((0.0, 1.0), (0.3, 1.0), (0.5, 1.0))
LAPFLOW_WINDOWS_OF_FOUR = ((0.0, 1.0), (1 / 6, 1.0), (1 / 3, 1.0), (0.5, 1.0))

FirstStageDesign = Literal["pyramid", "pyramid-200", "pyramid-even", "kl-f8"]
# Changes of the pyramid of `first_stages`: levels, and more width where the picture is largest. A
# level from which the means over a grid are taken loses one value for each of the grid's cells.
PYRAMIDS: dict[str, dict[str, Any]] = {
    # 8 + 2x2x2 + (8x8 - 2x2)x4 = 256
    "pyramid": {
        "levels": first_stages.level_configs(("global", 8), (32, 2), (8, 4)),
        "encoder_widths": (8, 12, 16, 24, 36, 56),
        "decoder_widths": (16, 32, 48, 64, 72, 72),
    },
    # 16 + 2x2x4 + (4x4 - 2x2)x2 + (8x8 - 4x4)x3 = 200
    "pyramid-200": {
        "levels": first_stages.level_configs(("global", 16), (32, 4), (16, 2), (8, 3)),
        "encoder_widths": (8, 12, 16, 24, 28, 48),
        "decoder_widths": (16, 32, 48, 60, 68, 68),
    },
    "pyramid-even": {},  # 32 + 2x2x8 + (4x4 - 2x2)x4 + (8x8 - 4x4)x2 = 208
}


@dataclasses.dataclass(frozen=True)
class System:
    """What differs between the rows.

    Args:
        first_stage: One of PYRAMIDS, or "kl-f8".
        texture: Weight of the texture term in the first stage's perceptual loss.
        discriminator: Of the first stage; None for none.
        scale: kl-f8: one standard deviation for each channel, or for all values as published.
        predicts: What LDM's network predicts; None for the pyramid's network.
        level_loss_weights: Of the flow's loss, coarse to fine.
        model: Changes of the pyramid's network.
        sample: Changes of the sampler.
    """

    first_stage: FirstStageDesign = "pyramid"
    texture: float = TEXTURE
    discriminator: AdversarialConfig | None = None
    scale: Literal["channel", "scalar"] = "channel"
    predicts: Literal["noise", "velocity"] | None = None
    level_loss_weights: tuple[float, ...] = (1.0,)
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    sample: dict[str, Any] = dataclasses.field(default_factory=dict)


EQUAL, EQUAL_OF_FOUR = (1.0,) * 3, (1.0,) * 4
DFM: dict[str, Any] = {"level_times": STAGES, "time_embedding": "summed"}
DDIM: dict[str, Any] = {"sampler": "ddim"}
FINE: dict[str, Any] = {"level_loss_weights": (1.0, 1.0, 4.0)}
GAN: dict[str, Any] = {"discriminator": DISCRIMINATOR}
SYSTEMS: dict[str, System] = {
    "pdm": System(**GAN, **FINE),
    "pdm, with texture": System(**FINE),
    "pdm, without texture": System(texture=0.0, **FINE),
    "pdm, 200 independent values": System("pyramid-200", 0.0, level_loss_weights=EQUAL_OF_FOUR),
    "pdm, 200 independent values, with texture": System(
        "pyramid-200", level_loss_weights=EQUAL_OF_FOUR
    ),
    "pdm, half of the values in coarse levels": System(
        "pyramid-even", 0.0, level_loss_weights=EQUAL_OF_FOUR
    ),
    "ldm-f8": System("kl-f8", 0.0, scale="scalar", predicts="noise", sample=DDIM),
    "ldm-f8 by channel": System("kl-f8", 0.0, predicts="noise", sample=DDIM),
    "ldm-f8 by channel, our flow": System("kl-f8", 0.0, predicts="velocity"),
    "ldm-f8, with texture": System("kl-f8", scale="scalar", predicts="noise", sample=DDIM),
    "ldm-f8 by channel, our flow, with texture": System("kl-f8", predicts="velocity"),
    "ldm-f8, with discriminator": System(
        "kl-f8", scale="scalar", predicts="noise", sample=DDIM, **GAN
    ),
    "ldm-f8 by channel, our flow, with discriminator": System("kl-f8", predicts="velocity", **GAN),
    "dfm": System(level_loss_weights=EQUAL, model=DFM, sample={"sampler": "euler"}),
    "dfm, 200 independent values": System(
        "pyramid-200",
        0.0,
        level_loss_weights=EQUAL_OF_FOUR,
        model=DFM | {"level_times": STAGES_OF_FOUR},
        sample={"sampler": "euler"},
    ),
    "dfm, a stage for each level": System(
        level_loss_weights=EQUAL, model=DFM | {"level_times": STAGE_PER_LEVEL}
    ),
    "lapflow": System(level_loss_weights=EQUAL, model={"windows": LAPFLOW_WINDOWS}),
    "lapflow, 200 independent values": System(
        "pyramid-200",
        0.0,
        level_loss_weights=EQUAL_OF_FOUR,
        model={"windows": LAPFLOW_WINDOWS_OF_FOUR},
        sample={"steps": EVALUATIONS - 3},  # each start of a level is a stop of its own
    ),
}


@dataclasses.dataclass(frozen=True)
class Group:
    """A system of ours and its rivals, of which the best counts."""

    ours: str
    rivals: tuple[str, ...]


GROUPS: dict[str, Group] = {
    "ldm": Group("pdm", tuple(name for name in SYSTEMS if name.startswith("ldm"))),
    "dfm": Group("pdm, with texture", ("dfm", "dfm, a stage for each level")),
    "lapflow": Group("pdm, with texture", ("lapflow",)),
}


def first_stage_config(system: System, seed: int) -> AutoencoderConfig:
    """All training settings of a system's first stage. Equal for all systems that share it."""
    default = params.load(ROOT / "params.yaml").autoencoder
    rate = first_stages.LEARNING_RATE
    changes = PYRAMIDS.get(system.first_stage)
    design = system.first_stage if changes is None else "pyramid"
    config = first_stages.config_of(design, seed, rate, ENDLESS)
    assert config.model is not None
    assert default.perceptual is not None
    assert default.perceptual.network == TEACHER
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, orthogonal_levels=True, **(changes or {})),
        perceptual=dataclasses.replace(default.perceptual, texture=system.texture),
        adversarial=system.discriminator,
        training=dataclasses.replace(config.training, optimizer=default.training.optimizer),
    )


def flow_config(system: System, seed: int) -> DiffusionConfig:
    """All training settings of a system's flow."""
    default = params.load(ROOT / "params.yaml").diffusion
    assert default.model is not None
    rate = denoisers.LEARNING_RATE
    return dataclasses.replace(
        default,
        model=dataclasses.replace(default.model, **(TRUNK | system.model)),
        baseline=system.predicts
        and LatentUNetConfig(name="celeba", base_width=LDM_WIDTH, predicts=system.predicts),
        timesteps="ldm" if system.predicts == "noise" else "logit_normal",
        time_shift=1.0,
        level_loss_weights=system.level_loss_weights,
        training=denoisers.training_config(default.training, seed, rate, ENDLESS),
    )


def sampling_config(system: System, *, guided: bool) -> SampleConfig:
    """Settings with which a system is sampled.

    Args:
        system: What to sample.
        guided: By the system's own earlier self, as much as in the default run.
    """
    default = params.load(ROOT / "params.yaml").sample
    changes: dict[str, Any] = {
        "sampler": "multistep",
        "steps": EVALUATIONS,
        "eta": 0.0,
        "time_shift": 1.0,
        "ema_length": None,
        "guidance_scale": default.guidance_scale if guided else 1.0,
        **system.sample,
    }
    return dataclasses.replace(default, **changes)


def guide_share() -> float:
    """The share of the training after which the default run's guide is taken."""
    guide = params.load(ROOT / "params.yaml").sample.guide
    assert guide is not None
    assert guide.training_share is not None
    return guide.training_share
