"""How text becomes tokens: a transformer that is trained with the network, or a frozen encoder."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.file import FileConfig
from pdm.config.limits import (
    Count,
    CountOrZero,
    Depth,
    Fraction,
    Limits,
    Width,
    check_limits,
    require,
    require_sha256,
)

MaxTokens = Annotated[int, Limits(at_least=2, at_most=4096)]  # two mark the ends of a text


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTransformerConfig:
    """A transformer over word pieces, or the tokens of boxes, that is trained with the network, as
    LDM's (Rombach et al., arXiv:2112.10752, table 17: for text 77 tokens, depth 32, width 1280;
    its code: 8 heads of 64)."""

    __pydantic_config__: ClassVar = STRICT

    vocabulary_size: Annotated[Count, "word pieces that it knows, at most: 30,522 as BERT's"]
    max_tokens: Annotated[MaxTokens, "longest text in word pieces; the rest is cut off"]
    width: Annotated[Width, "length of each token"]
    depth: Annotated[Depth, "layers"]
    num_heads: Annotated[Count, "heads of its attention"]
    head_width: Annotated[Width, "length of a head's queries"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(self.vocabulary_size >= 5, "vocabulary_size", self.vocabulary_size, "5 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class WordPiecesConfig:
    """Word pieces, and a transformer over them that is trained with the network."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["word_pieces"], "word_pieces: a transformer trained with the network"]
    vocabulary: Annotated[
        FileConfig | None,
        "a vocab.txt of BERT's kind, one word piece per line; null: made of the captions",
    ]
    transformer: Annotated[TextTransformerConfig, "the transformer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenEncoderConfig:
    """A trained text encoder, which stays as it is."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["frozen"], "frozen: a trained encoder (BERT, CLIP, T5)"]
    folder: Annotated[str, "its folder, in Hugging Face's layout"]
    sha256: Annotated[str, "of its model.safetensors"]
    width: Annotated[Width, "length of each token's state: hidden_size or d_model in config.json"]
    max_tokens: Annotated[MaxTokens, "longest text in tokens; the rest is cut off"]

    def __post_init__(self) -> None:
        check_limits(self)
        require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class TagsConfig:
    """How captions that are tags, with commas between them, vary in a training."""

    __pydantic_config__: ClassVar = STRICT

    versions: Annotated[
        Annotated[int, Limits(at_least=1, at_most=1000)],
        "orders of each caption that are shown in turn; a frozen encoder encodes each",
    ]
    keep_first: Annotated[
        CountOrZero, "tags at the beginning that stay there and are never left out"
    ]
    dropout: Annotated[Fraction, "probability of leaving out each of the others"]

    def __post_init__(self) -> None:
        check_limits(self)


TextEncoderConfig = WordPiecesConfig | FrozenEncoderConfig
