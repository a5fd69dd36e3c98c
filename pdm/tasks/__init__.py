"""The tasks of the diffusion model: what it learns to draw by, one file for each.

Training, previews and sampling make `Example`s of pictures and ask the task for their `Condition`.
The networks know no task. `pdm.config.task` has the settings, `pdm.tasks.task` the interface.
"""
