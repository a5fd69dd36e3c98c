"""Fine-tuning: starts a network from those weights of a model folder that fit.

Tensors are matched by name and shape. Tensors without a match, such as those of other widths,
levels or blocks, keep their random initialisation.

The list `pictures.txt` of a trained model names the pictures of its data, of the source of its
weights, and, if it is trained on latents, of the autoencoder that made them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdm import weights
from pdm.config.training.init_from import InitFromConfig
from pdm.data.shards import listing
from pdm.errors import BadInput
from pdm.files import check_sha256
from pdm.model_record import record_of
from pdm.models.layers.spectral_norm import settle_spectral_norms
from pdm.training.checkpoints.folder import list_checkpoints

logger = logging.getLogger(__name__)

NUM_NAMED = 4  # tensors without a match named in the log
SHOWN_DIGITS = 12  # of a digest
WEIGHT, VECTORS = "parametrizations.weight.original", "parametrizations.weight.0."


@dataclass(frozen=True)
class Origin:
    """What a network under training started from.

    Args:
        pictures: File that lists all pictures that it has seen; may be missing.
        facts: Entries for the `config.json` of the trained model; empty without a source.
    """

    pictures: Path
    facts: dict[str, Any] = field(default_factory=dict)


def check_source(config: InitFromConfig, stage: str, working_folder: Path = Path()) -> Path:
    """Compare the source's sha256 with the params, so that equal params give equal models.

    Returns:
        Folder of the source.

    Raises:
        BadInput: The source cannot be read, or has another sha256.
    """
    file = working_folder / config.path / "model.safetensors"
    check_sha256(file, config.sha256, f"{stage}.init_from")
    return file.parent


def warn_of_other_latents(source: Path, autoencoder_sha256: str) -> None:
    """Warn if a diffusion model was trained on latents of another autoencoder.

    Args:
        source: Its folder. Nothing is said of one that cannot be read, which `initialise` refuses.
        autoencoder_sha256: Of the autoencoder that wrote the latents to train on.
    """
    try:
        theirs = record_of(source).get("autoencoder_sha256", autoencoder_sha256)
    except BadInput:
        return
    if theirs != autoencoder_sha256:
        logger.warning(
            "diffusion: %s was trained on latents of another autoencoder (sha256 %s..., these of "
            "%s...): it has to learn anew what each channel means, which LoRA alone can hardly do; "
            "to keep what it knows, take the autoencoder that belongs to it",
            source,
            theirs[:SHOWN_DIGITS],
            autoencoder_sha256[:SHOWN_DIGITS],
        )


def initialise(
    model: nn.Module,
    config: InitFromConfig | None,
    *,
    stage: str,
    working_folder: Path,
    listed: Sequence[Path],
    run: Path,
    is_first: bool,
    complete: bool = False,
) -> Origin:
    """Load the weights that fit from the model that the params name, if they name one.

    A resumed run gets its weights from its checkpoint instead.

    Args:
        model: Network that is not yet trained.
        config: The setting `init_from`.
        stage: Name of the stage, for messages.
        working_folder: Folder that paths in the params are relative to.
        listed: Folders with lists of pictures: the training data, and models through which the
            network sees others.
        run: Folder of the run, to write the joint list of pictures to.
        is_first: Whether this worker writes and logs.
        complete: Whether all tensors must fit, as those of a network that stays as it is.

    Raises:
        BadInput: The source is missing or damaged, has another sha256, is another kind of network,
            or has no tensor that fits, or not all that must.
    """
    if config is None:
        return Origin(_list_pictures(listed, run, is_first=is_first))
    folder = check_source(config, stage, working_folder)
    try:
        tensors = weights.load(folder, type(model).__name__)[1]
    except BadInput as error:
        raise BadInput(f"{stage}.init_from.path: {error}") from error
    own = model.state_dict()
    fitting = fitting_names(own, tensors)
    if not fitting:
        raise BadInput(
            f"{stage}.init_from.path: no tensor of {folder} fits the network of these params by "
            "name and shape; name a model of similar widths and levels, or set init_from to null"
        )
    if complete and len(fitting) < len(own):
        raise BadInput(
            f"{stage}.lora needs a network whose weights all come from init_from, but it "
            f"{_describe(folder, own, tensors, fitting)}; take the settings and the task of that "
            "model, or set lora to null"
        )
    resumes = bool(list_checkpoints(run))
    if not resumes:
        _copy_tensors(model, {name: tensors[name] for name in fitting})
        if not complete:
            settle_spectral_norms(model)  # else the source's own vectors keep its very weights
    if is_first and not resumes:
        logger.info("%s: %s", stage, _describe(folder, own, tensors, fitting))
    facts = {"path": config.path, "sha256": config.sha256}
    counts = {"taken": len(fitting), "total": len(own)}
    pictures = _list_pictures([*listed, folder], run, is_first=is_first)
    return Origin(pictures, {"init_from": facts | counts})


def fitting_names(own: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> list[str]:
    """List the network's tensors that the source has in the same shape.

    The singular vectors of a spectral norm fit only together with their weight.
    """
    same = {name for name, one in own.items() if name in source and source[name].shape == one.shape}
    return [name for name in own if name in same and _weight_of(name) in same]


def _weight_of(name: str) -> str:
    """Return the weight that a singular vector belongs to; for any other tensor, its own name."""
    layer, vectors, _ = name.rpartition(VECTORS)
    return f"{layer}{WEIGHT}" if vectors else name


@torch.no_grad()
def _copy_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = model.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)  # in place, to preserve the memory format


def _describe(
    folder: Path, own: Mapping[str, Tensor], source: Mapping[str, Tensor], fitting: list[str]
) -> str:
    share = sum(own[name].numel() for name in fitting) / sum(one.numel() for one in own.values())
    took = f"starts from {folder}: {len(fitting)} of {len(own)} tensors taken ({share:.1%} of the "
    taken = set(fitting)
    others = [name for name in {**own, **source} if name not in taken]
    if not others:
        return f"{took}weights)"
    named = ", ".join(
        f"{name} (here {_shape(own.get(name))}, there {_shape(source.get(name))})"
        for name in others[:NUM_NAMED]
    )
    more = f" and {len(others) - NUM_NAMED} more" if len(others) > NUM_NAMED else ""
    return f"{took}weights); not taken: {named}{more}"


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return "none"
    return "x".join(map(str, tensor.shape)) or "scalar"


def _list_pictures(listed: Sequence[Path], run: Path, *, is_first: bool) -> Path:
    """Return the path of a list of all pictures that these folders list. For more than one folder
    it is a joint list in the run, which the first worker writes."""
    if len(listed) == 1:
        return listed[0] / listing.FILE_NAME
    if is_first:
        _write_pictures(listed, run)
    return run / listing.FILE_NAME


def _write_pictures(listed: Sequence[Path], run: Path) -> None:
    """Write the union of all lists. If one of them is missing, write none: an incomplete list
    would hide pictures from `pyramid data removed`."""
    unlisted = [folder for folder in listed if not (folder / listing.FILE_NAME).is_file()]
    if unlisted:
        (run / listing.FILE_NAME).unlink(missing_ok=True)
        logger.warning(
            "%s has no %s, so the trained model will not have one either: nobody can tell whether "
            "it has seen a removed image",
            unlisted[0],
            listing.FILE_NAME,
        )
        return
    listing.write_union(listed, run)
