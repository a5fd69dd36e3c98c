"""The tasks of the diffusion model: what it is conditioned on, one file for each.

Training, previews and sampling make `Example`s of pictures and ask the task for their `Condition`.
The networks do not depend on the task. `pdm.config.task` has the settings, `pdm.tasks.task` the
interface.
"""
