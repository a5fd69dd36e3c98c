import subprocess
import sys

import numpy as np
import torch
from torch.nn import functional as F

from pdm.data.annotations.maps import UNKNOWN
from pdm.tasks.semantic import map_condition


def test_shares_are_the_means_of_each_class_at_any_size():
    random = np.random.default_rng(0)
    maps = [random.choice([0, 2, 5, UNKNOWN], (13, 22)).astype(np.uint8) for _ in range(2)]
    found = map_condition(maps, 4).map
    assert found.shape == (2, 4, 4, 6)
    for planes, indices in zip(found, maps, strict=True):
        whole = torch.from_numpy(indices)
        for label in range(4):
            plane = (whole == label).float()[None]
            assert torch.equal(planes[label], F.avg_pool2d(plane, 4, ceil_mode=True)[0])


MEMORY = """
import resource
import numpy as np
from pdm.tasks.semantic import map_condition

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

indices = np.arange(2048 * 2048).reshape(2048, 2048).astype(np.uint8) % 150
before = peak()
assert map_condition([indices], 150).map.shape == (1, 150, 512, 512)
print(peak() - before)
"""


def test_a_map_of_many_classes_takes_little_more_memory_than_its_condition():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 400  # MiB; the condition has 150, all classes at once took 3,000
