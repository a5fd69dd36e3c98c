"""A bare machine that has torch and safetensors, and no more, can run the networks."""

import subprocess
import sys

HEAVY = [
    *("pydantic", "yaml", "PIL", "cv2", "ray", "mlflow", "pandas", "pyarrow", "scipy"),
    *("webdataset", "matplotlib", "rich", "prefect", "dvc"),
]
SCRIPT = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None  # importing it now fails
import pdm.models.autoencoder, pdm.models.unet
import pdm.models.features.efficientnet_lite, pdm.models.features.feature_distance
import pdm.diffusion.flow, pdm.diffusion.samplers
"""


def test_networks_and_flows_need_torch_and_safetensors_only():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
