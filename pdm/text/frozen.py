"""A frozen text encoder from a folder in Hugging Face's layout: BERT, CLIP's text tower, T5.

Nothing is fetched, and no code from the folder runs. Each text is encoded alone and without
padding, so its states do not depend on other texts.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdm.config.networks.text import FrozenEncoderConfig
from pdm.errors import BadInput, Unavailable
from pdm.files import check_sha256, sha256_of

WEIGHTS = "model.safetensors"
# Everything beside the weights that states depend on; an encoder has some of them.
SETTINGS = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model"),
)
CLASSES = {"clip": "CLIPTextModel", "clip_text_model": "CLIPTextModel", "t5": "T5EncoderModel"}


class FrozenEncoder:
    """Token states of texts.

    Args:
        config: Folder and digest.
        base: Relative folders are below it.
        device: Where it runs.

    Raises:
        BadInput: The folder is missing, has another sha256, or is not a text encoder.
        Unavailable: The package `transformers` is not installed.
    """

    def __init__(self, config: FrozenEncoderConfig, base: Path, device: torch.device) -> None:
        folder = base / config.folder
        digest_of(config, base)  # checks the sha256
        self.max_tokens, self._device = config.max_tokens, device
        transformers = _import_transformers()
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
            design = getattr(transformers, CLASSES.get(kind, "AutoModel"))
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
            model = design.from_pretrained(folder, **options, dtype=torch.float32)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BadInput(
                f"{folder} is not a text encoder that transformers can load ({reason})"
            ) from error
        self._model = model.eval().requires_grad_(requires_grad=False).to(device)
        settings = getattr(model.config, "text_config", model.config)
        self._check(settings, config, folder)

    def _check(self, settings: Any, config: FrozenEncoderConfig, folder: Path) -> None:
        width = getattr(settings, "hidden_size", None) or settings.d_model
        if width != config.width:
            raise BadInput(
                f"diffusion.task.encoder.width is {config.width}, but the states of the encoder in "
                f"{folder} have {width}; correct it"
            )
        limit = getattr(settings, "max_position_embeddings", None)
        if limit is not None and config.max_tokens > limit:
            raise BadInput(
                f"diffusion.task.encoder.max_tokens is {config.max_tokens}, but the encoder in "
                f"{folder} reads at most {limit} tokens; lower it"
            )

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """The states of a text's tokens, (n, width) float32 on the CPU, with n up to max_tokens."""
        ids = self._tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
        found = self._model(input_ids=torch.tensor([ids], device=self._device))
        states: Tensor = found.last_hidden_state[0].float().cpu()
        return states

    def length(self, text: str) -> int:
        """The number of a text's tokens, without a limit."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])


def digest_of(config: FrozenEncoderConfig, base: Path) -> str:
    """The digest of all that states depend on, after a check of the weights' sha256.

    Raises:
        BadInput: The folder is missing or has another sha256.
    """
    folder = base / config.folder
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: no such folder with a text encoder; fix diffusion.task.encoder.folder"
        )
    check_sha256(folder / WEIGHTS, config.sha256, "diffusion.task.encoder")
    files = {name: sha256_of(folder / name) for name in SETTINGS if (folder / name).is_file()}
    text = json.dumps([config.sha256, files, config.max_tokens], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise Unavailable(
            "a frozen text encoder needs the package transformers, which is not installed: "
            'pip install "pyramid-diffusion[text]", or use the encoder of kind word_pieces'
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
