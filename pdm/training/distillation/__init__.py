"""Second part of the stage `diffusion`, with the setting `distil`: distils a finished flow to
sample in few steps.

The student is a folder within the flow's model, `few-steps`, with the stops of its steps in
`config.json`. The flow stays as it is. Runs are in the folder of the flow's run, so that they are
removed together.
"""

from pdm.training.distillation.stage import distil_flow, flow_folder, plan, run_folder

__all__ = ["distil_flow", "flow_folder", "plan", "run_folder"]
