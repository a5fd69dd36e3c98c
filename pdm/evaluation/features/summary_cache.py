"""A cache of summaries of real pictures, computed once for each version of the data.

A file's name covers everything that its contents depend on: the digest of the data's manifest, the
pictures and their size, the settings of the scores, the networks and the code. So a file of other
data, settings or code is never used. An unreadable file is replaced. Deleting the folder only costs
time.
"""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdm.config.fields import Mark, fields_without
from pdm.config.stages.evaluate import EvaluateConfig
from pdm.data.code import code_version, modules_behind
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.array_files import Arrays, read_arrays, write_arrays
from pdm.evaluation.features.feature_spaces import FeatureSpace
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import Summary, summarise

logger = logging.getLogger(__name__)

# All code that summaries and their files depend on.
CODE = modules_behind(
    "pdm.data.shards.images",  # reads the pictures
    "pdm.evaluation.features.summary_cache",
    "pdm.evaluation.stream",
    leave_out=("pdm.config", "pdm.data.code", "pdm.errors", "pdm.files", "pdm.progress"),
)

# Settings that summaries depend on.
SETTINGS = fields_without(EvaluateConfig, Mark.NOT_IN_FEATURES)


def cached_summary(
    pictures: PictureSet,
    compared: NDArray[np.int64],
    extractor: RandomConvFeatures,
    spaces: list[FeatureSpace],
    config: EvaluateConfig,
    data_sha256: str,
    cache: Path,
) -> Summary:
    """Summarise a set like `summarise`, or load its summary from `cache`.

    Args:
        pictures, compared, extractor, spaces, config: As for `summarise`.
        data_sha256: Digest of the manifest of the shards that the pictures come from.
        cache: Folder; created if needed.
    """
    path = cache / _name(pictures, compared, spaces, config, data_sha256)
    if (arrays := read_arrays(path)) is not None:
        logger.info("evaluate: features of %s from the cache, %s", pictures.name, path)
        return _from_arrays(arrays, pictures.name, spaces)
    summary = summarise(pictures, compared, extractor, spaces, config, cache)
    write_arrays(path, _to_arrays(summary))
    return summary


def _name(
    pictures: PictureSet,
    compared: NDArray[np.int64],
    spaces: list[FeatureSpace],
    config: EvaluateConfig,
    data_sha256: str,
) -> str:
    values = dataclasses.asdict(config)
    settings = {name: values[name] for name in SETTINGS}
    dependencies = [
        *(data_sha256, pictures.name, pictures.size, compared.tolist(), settings),
        *([space.name, space.per_picture, space.convention] for space in spaces),
        code_version(CODE),
    ]
    digest = hashlib.sha256(json.dumps(dependencies, sort_keys=True).encode()).hexdigest()
    return f"{data_sha256[:16]}-{pictures.name}-{digest[:16]}.safetensors"


def _to_arrays(summary: Summary) -> Arrays:
    return {
        "features": summary.features,
        "mirrored_features": summary.mirrored_features,
        "thumbnails": summary.thumbnails,
        "compared": summary.compared,
        "spectra": summary.spectra,
        **{f"vectors/{name}": vectors for name, vectors in summary.vectors.items()},
        # Files sort arrays by name: the number keeps the levels in order, fine to coarse.
        **{
            f"patches/{depth}/{level}": patches
            for depth, (level, patches) in enumerate(summary.patches.items())
        },
    }


def _from_arrays(arrays: Arrays, name: str, spaces: list[FeatureSpace]) -> Summary:
    keys = (key.split("/", 2) for key in arrays if key.startswith("patches/"))
    levels = [(depth, level) for _, depth, level in sorted(keys, key=lambda key: int(key[1]))]
    return Summary(
        name=name,
        spaces=spaces,
        features=_floats(arrays["features"]),
        mirrored_features=_floats(arrays["mirrored_features"]),
        thumbnails=arrays["thumbnails"].astype(np.float32, copy=False),
        compared=arrays["compared"].astype(np.int64, copy=False),
        vectors={space.name: _floats(arrays[f"vectors/{space.name}"]) for space in spaces},
        patches={
            level: arrays[f"patches/{depth}/{level}"].astype(np.float32, copy=False)
            for depth, level in levels
        },
        spectra=_floats(arrays["spectra"]),
    )


def _floats(array: NDArray[np.generic]) -> Array:
    return array.astype(np.float64, copy=False)
