"""The networks of sampling: the diffusion model with the EMA asked for, or the one distilled for
few steps, and the guide of classifier-free guidance (CFG) or autoguidance, if any."""

from pdm.inference.sampling_networks.few_steps import (
    check_few_steps,
    few_steps_facts,
    uses_few_step_network,
)
from pdm.inference.sampling_networks.load import load_networks
from pdm.inference.sampling_networks.networks import Networks

__all__ = [
    "Networks",
    "check_few_steps",
    "few_steps_facts",
    "load_networks",
    "uses_few_step_network",
]
