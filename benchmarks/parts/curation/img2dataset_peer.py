"""Runs img2dataset's resizer over a folder of pictures, in img2dataset's own environment.

It runs once for each line of standard input, and answers with a line of JSON. Nothing is fetched or
written.
"""

import io
import json
import resource
import sys
import time
from pathlib import Path

from img2dataset.resizer import Resizer


def main(folder: Path, longer_side_px: int) -> None:
    resizer = Resizer(
        image_size=longer_side_px,
        resize_mode="keep_ratio_largest",
        resize_only_if_bigger=True,
        encode_quality=95,
    )
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), cpu_seconds()
        results = [resizer(io.BytesIO(path.read_bytes())) for path in sorted(folder.iterdir())]
        seconds = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
        sizes = [[width, height] for _, width, height, _, _, _ in results]
        print(json.dumps(seconds | {"sizes": sizes}), flush=True)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
