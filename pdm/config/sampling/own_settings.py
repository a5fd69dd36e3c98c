"""The settings of sampling that a model may bring along, in its `config.json`."""

FACT = "sampling"
SETTINGS = ("sampler", "steps", "eta", "time_margin", "clamp_latents")
