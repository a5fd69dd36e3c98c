"""What the scores need of real pictures: computed once for a version of the data, then kept.

It is kept under a name that covers everything it follows from: the digest of the data's manifest,
which pictures and at what size, the settings of the scores, the networks and the code. So what an
older version of any of these left behind is never taken for the present one's. A file that cannot
be read is made again. Nothing but time is lost by deleting the folder.
"""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pdm.config.common import Mark, fields_without
from pdm.config.evaluate import EvaluateConfig
from pdm.data.code import code_version, modules_behind
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import Summary, summarise
from pdm.evaluation.features.views import View
from pdm.files import whole_file

logger = logging.getLogger(__name__)

# All code that has a part in what is known of real pictures, and in how it is kept.
CODE = modules_behind(
    "pdm.data.shards.images",  # reads them
    "pdm.evaluation.features.reference",
    "pdm.evaluation.stream",
    leave_out=("pdm.config", "pdm.data.code", "pdm.errors", "pdm.files", "pdm.progress"),
)

# Other settings change scores, but not what is known of the pictures.
SETTINGS = fields_without(EvaluateConfig, Mark.NOT_IN_FEATURES)


def kept_summary(
    pictures: PictureSet,
    compared: NDArray[np.int64],
    extractor: RandomConvFeatures,
    views: list[View],
    config: EvaluateConfig,
    data_sha256: str,
    cache: Path,
) -> Summary:
    """As `summarise`, from `cache` if it is there.

    Args:
        pictures, compared, extractor, views, config: As for `summarise`.
        data_sha256: Digest of the manifest of the shards that the pictures come from.
        cache: Folder of what is kept; need not exist.
    """
    path = cache / _name(pictures, compared, views, config, data_sha256)
    if (kept := _read(path)) is not None:
        logger.info("evaluate: %s as it was seen before, from %s", pictures.name, path)
        return _summary(kept, pictures.name, views)
    summary = summarise(pictures, compared, extractor, views, config)
    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(summary).items()}
    cache.mkdir(parents=True, exist_ok=True)
    # A folder of its own, since another process may write the same at the same time.
    with TemporaryDirectory(prefix=".tmp-", dir=cache) as own:
        with whole_file(Path(own) / path.name) as temporary:
            save_file(arrays, temporary)
        (Path(own) / path.name).replace(path)
    return summary


def _name(
    pictures: PictureSet,
    compared: NDArray[np.int64],
    views: list[View],
    config: EvaluateConfig,
    data_sha256: str,
) -> str:
    values = dataclasses.asdict(config)
    settings = {name: values[name] for name in SETTINGS}
    all_of_it = [
        *(data_sha256, pictures.name, pictures.size, compared.tolist(), settings),
        *([view.name, view.per_picture, view.convention] for view in views),
        code_version(CODE),
    ]
    digest = hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest()
    return f"{data_sha256[:16]}-{pictures.name}-{digest[:16]}.safetensors"


def _read(path: Path) -> dict[str, NDArray[np.generic]] | None:
    if not path.exists():
        return None
    try:
        found: dict[str, NDArray[np.generic]] = load_file(path)
    except (OSError, SafetensorError) as error:
        logger.warning("evaluate: %s cannot be read (%s); it is made again", path, error)
        return None
    return found


def _arrays(summary: Summary) -> dict[str, NDArray[np.generic]]:
    return {
        "features": summary.features,
        "mirrored_features": summary.mirrored_features,
        "thumbnails": summary.thumbnails,
        "compared": summary.compared,
        "spectra": summary.spectra,
        **{f"vectors/{name}": vectors for name, vectors in summary.vectors.items()},
        # Tensors are sorted by name: the number keeps the levels from fine to coarse.
        **{
            f"patches/{depth}/{level}": patches
            for depth, (level, patches) in enumerate(summary.patches.items())
        },
    }


def _summary(arrays: dict[str, NDArray[np.generic]], name: str, views: list[View]) -> Summary:
    keys = (key.split("/", 2) for key in arrays if key.startswith("patches/"))
    levels = [(depth, level) for _, depth, level in sorted(keys, key=lambda key: int(key[1]))]
    return Summary(
        name=name,
        views=views,
        features=_floats(arrays["features"]),
        mirrored_features=_floats(arrays["mirrored_features"]),
        thumbnails=arrays["thumbnails"].astype(np.float32, copy=False),
        compared=arrays["compared"].astype(np.int64, copy=False),
        vectors={view.name: _floats(arrays[f"vectors/{view.name}"]) for view in views},
        patches={
            level: arrays[f"patches/{depth}/{level}"].astype(np.float32, copy=False)
            for depth, level in levels
        },
        spectra=_floats(arrays["spectra"]),
    )


def _floats(array: NDArray[np.generic]) -> Array:
    return array.astype(np.float64, copy=False)
