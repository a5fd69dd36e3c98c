"""The task of drawing what a text says.

A picture with several captions, or with versions of one (`pdm.text.tags`), shows the network
another one each time: which, follows from the seed, the picture and the epoch. A picture without
captions, and one whose condition is dropped, has the empty text.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.text import FrozenEncoderConfig, WordPiecesConfig
from pdm.config.task import TextTask
from pdm.counts import counted
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import atomic_file, check_sha256
from pdm.machine.device import choose_device
from pdm.models.condition import Condition, choose_rows
from pdm.tasks.task import Encode, Example, Levels
from pdm.text.encoders import CachedStates, TextEncoder, encode_batch, report_cut
from pdm.text.frozen import FrozenEncoder, digest_of
from pdm.text.state_cache import StateCache
from pdm.text.tags import versions_of
from pdm.text.word_pieces import (
    FILE_NAME,
    WordPieces,
    make_vocabulary,
    read_vocabulary,
    write_vocabulary,
)

logger = logging.getLogger(__name__)

EMPTY = ""
NO_CAPTIONS = (
    "name a caption_column of a list, or put NAME.txt beside the images of a folder, and run "
    "from the stage 'scrape' on; or choose another task"
)


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Where the files of an encoder are.

    Args:
        folder: Of the run or of the model; holds the vocabulary.
        cache: Of states, for all encoders; None encodes each text when it is needed.
        base: Relative paths of the params are below it.
    """

    folder: Path
    cache: Path | None = None
    base: Path = Path()


class Text:
    """See `pdm.tasks.task.Task`.

    Args:
        config: Encoder and prompts.
        files: Needed for conditions, not for sizes and checks.
    """

    needs_pictures: ClassVar = False
    needs_maps: ClassVar = False

    def __init__(self, config: TextTask, files: TextFiles | None = None) -> None:
        self.config, self._files = config, files
        self.prompts = config.parsed_prompts  # drawn during training

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """Tokens of the encoder's width."""
        encoder = self.config.encoder
        if isinstance(encoder, FrozenEncoderConfig):
            return ConditionConfig(num_classes=0, token_width=encoder.width, map_channels=0)
        transformer = encoder.transformer
        return ConditionConfig(
            num_classes=0, token_width=transformer.width, map_channels=0, text=transformer
        )

    def check(self, latents: LatentShards) -> None:
        """Log how many pictures have captions.

        Raises:
            BadInput: None has.
        """
        num_with = sum(map(bool, latents.captions))
        if not num_with:
            raise BadInput(f"diffusion.task is text, but no image has a caption; {NO_CAPTIONS}")
        num_captions = sum(map(len, latents.captions))
        logger.info(
            "diffusion: %d of %d images of %s have captions, %d in all",
            num_with,
            len(latents),
            latents.split,
            num_captions,
        )

    def captions_in_training(self, captions: Sequence[str]) -> tuple[str, ...]:
        """What a picture with these captions may show the network in a training: these, or all
        versions of each if they are tags."""
        tags = self.config.tags
        if tags is None:
            return tuple(captions)
        return tuple(text for caption in captions for text in versions_of(caption, tags))

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """The tokens of each picture's caption."""
        return self.condition_of_texts([_choose(example) for example in examples])

    def condition_of_texts(self, texts: Sequence[str]) -> Condition:
        """The tokens of some texts."""
        tokens, mask = encode_batch(self._encoder, texts)
        return Condition(tokens=tokens, mask=mask)

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The tokens of the empty text for the pictures that `dropped` (B,) names."""
        empty = self.condition_of_texts([EMPTY] * len(dropped))
        return choose_rows(dropped, empty, condition)

    def facts(self) -> dict[str, Any]:
        """No facts: the vocabulary is a file of its own."""
        return {}

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The picture as it was drawn."""
        return drawn

    @cached_property
    def _encoder(self) -> TextEncoder | CachedStates:
        assert self._files is not None
        encoder, files = self.config.encoder, self._files
        if isinstance(encoder, WordPiecesConfig):
            size = encoder.transformer
            vocabulary = read_vocabulary(files.folder / FILE_NAME, size.vocabulary_size)
            return WordPieces(vocabulary, size.max_tokens)
        if files.cache is not None:
            cache = StateCache(files.cache / digest_of(encoder, files.base))
            return CachedStates(cache, encoder.max_tokens)
        return FrozenEncoder(encoder, files.base, choose_device())


def prepare_text(
    config: TextTask, splits: Sequence[LatentShards], files: TextFiles, origin: Path | None
) -> None:
    """Write the vocabulary, or the states of all captions, before the workers start.

    Args:
        config: Encoder and prompts.
        splits: train, then val.
        files: Of the run.
        origin: Folder of the model that the run starts from, whose vocabulary it keeps.

    Raises:
        BadInput: Vocabulary or encoder are missing or do not fit, or the vocabulary is another one
            than when the run began.
        Unavailable: The package of frozen encoders is not installed.
    """
    encoder = config.encoder
    if not isinstance(encoder, WordPiecesConfig):
        prepare_states(config, splits, files)
        return
    vocabulary = _vocabulary(encoder, splits[0], files.base, origin)
    most = encoder.transformer.vocabulary_size
    _keep_vocabulary(files.folder / FILE_NAME, vocabulary, most)
    pieces = WordPieces(vocabulary, encoder.transformer.max_tokens)
    report_cut(pieces, _captions(splits), "diffusion.task.encoder.transformer.max_tokens")


def prepare_states(config: TextTask, splits: Sequence[LatentShards], files: TextFiles) -> None:
    """Write the states of all captions and prompts to the cache, if the encoder is a frozen one.

    Args:
        config: Encoder and prompts.
        splits: train, then val.
        files: With the cache.

    Raises:
        BadInput: The encoder is missing, or has another sha256.
        Unavailable: The package of frozen encoders is not installed.
    """
    encoder = config.encoder
    if isinstance(encoder, WordPiecesConfig):
        return
    frozen = FrozenEncoder(encoder, files.base, choose_device())
    report_cut(frozen, _captions(splits), "diffusion.task.encoder.max_tokens")
    if files.cache is None:
        return
    cache = StateCache(files.cache / digest_of(encoder, files.base))
    texts = texts_shown(config, splits)
    num_new = cache.fill(texts, frozen.encode)
    logger.info(
        "text: %s encoded, %d from the cache", counted(num_new, "text"), len(set(texts)) - num_new
    )


def texts_shown(config: TextTask, splits: Sequence[LatentShards]) -> list[str]:
    """Every text that the network may be shown in a training on these splits (train, then val), and
    in the samples drawn meanwhile."""
    in_training = Text(config).captions_in_training(sorted(_captions(splits[:1])))
    pairs = ((prompt.text, prompt.negative) for prompt in config.parsed_prompts)
    of_prompts = [text for pair in pairs for text in pair if text]
    return [EMPTY, *_captions(splits), *in_training, *of_prompts]


def _captions(splits: Sequence[LatentShards]) -> set[str]:
    return {text for split in splits for texts in split.captions for text in texts}


def _choose(example: Example) -> str:
    """The caption of a picture that its epoch shows."""
    captions = example.captions
    if len(captions) < 2:
        return captions[0] if captions else EMPTY
    return captions[int(example.generator("caption").integers(len(captions)))]


def _vocabulary(
    encoder: WordPiecesConfig, train: LatentShards, base: Path, origin: Path | None
) -> tuple[str, ...]:
    size = encoder.transformer.vocabulary_size
    if encoder.vocabulary is not None:
        path = base / encoder.vocabulary.path
        check_sha256(path, encoder.vocabulary.sha256, "diffusion.task.encoder.vocabulary")
        return read_vocabulary(path, size)
    if origin is not None and (origin / FILE_NAME).is_file():
        return read_vocabulary(origin / FILE_NAME, size)
    made = make_vocabulary((text for texts in train.captions for text in texts), size)
    logger.info("text: made %d word pieces of the captions", len(made))
    return made


def _keep_vocabulary(path: Path, vocabulary: tuple[str, ...], most: int) -> None:
    if path.is_file():
        if read_vocabulary(path, most) != vocabulary:
            raise BadInput(
                f"the vocabulary differs from that of the run, {path}; restore the vocabulary, or "
                "remove the run's folder to start over"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        write_vocabulary(temporary, vocabulary)
