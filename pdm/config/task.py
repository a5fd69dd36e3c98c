"""Setting `diffusion.task`: what the diffusion model is conditioned on.

A task fixes the sizes of the network's condition, so `diffusion.model.condition` can stay null. A
trained model keeps its task in `config.json`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pdm.config.fields import MAY_CHANGE, STRICT, Neutral, classes_by_kind
from pdm.config.limits import Count, Depth, Fraction, Limits, Width, check_limits, require
from pdm.config.networks.text import TagsConfig, TextEncoderConfig, TextTransformerConfig
from pdm.config.records import from_record
from pdm.config.sampling.prompts import Prompt, parse_prompts

MaskShape = Literal["rectangle", "circle", "brush", "irregular"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnconditionalTask:
    """Draw pictures like the data, by no condition."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["unconditional"], "unconditional: no condition"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassTask:
    """Draw pictures of a class of the data."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["class"], "class: draw a class of the data"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InpaintingTask:
    """Fill in a part of a picture. Masks are drawn anew for each picture and epoch."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["inpainting"], "inpainting: fill in a part of an image"]
    mask_shapes: Annotated[tuple[MaskShape, ...], "inpainting: shapes of the masks, in turn"]
    min_share: Annotated[Fraction, "inpainting: least share of an image that a mask covers"]
    max_share: Annotated[Fraction, "inpainting: largest share of an image that a mask covers"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(len(self.mask_shapes) > 0, "mask_shapes", self.mask_shapes, "at least one shape")
        good = 0 < self.min_share <= self.max_share < 1
        expected = f"from above 0 to max_share ({self.max_share}), which is below 1"
        require(good, "min_share", self.min_share, expected)


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperResolutionTask:
    """Enlarge a picture. Pairs are made from the pictures of the data."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["super_resolution"], "super_resolution: enlarge an image"]
    factor: Annotated[Literal[2, 4], "super_resolution: of each side"]
    degradation: Annotated[
        Literal["bicubic", "bsr_light"],
        "super_resolution: how small images are made; bsr_light adds blur, noise and JPEG",
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticTask:
    """Draw a picture from a semantic map. The classes are those of the data's maps."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["semantic"], "semantic: draw from a map of classes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTask:
    """Draw what a text says, learnt from the pictures' captions."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["text"], "text: draw what a text says"]
    encoder: Annotated[TextEncoderConfig, "text: what turns it into tokens"]
    prompts: Annotated[
        tuple[str, ...],
        "text: prompts drawn at each checkpoint; []: captions of held-out images",
        MAY_CHANGE,
    ]
    tags: Annotated[
        TagsConfig | None,
        "text: captions are tags with commas, whose order changes in training; leave out if not",
        Neutral(None),
    ] = None

    def __post_init__(self) -> None:
        check_limits(self)
        parse_prompts(self.prompts)

    @property
    def parsed_prompts(self) -> tuple[Prompt, ...]:
        """The prompts, with their options."""
        return parse_prompts(self.prompts)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutTask:
    """Draw a picture from boxes with the names of classes: what stands where.

    Each box is three tokens, for its top-left corner, its bottom-right corner and its class; two
    more say which part of its source the picture shows. A transformer that is trained with the
    network reads them. As in LDM (Rombach et al., arXiv:2112.10752, table 17 and section E.1): 30
    boxes, 92 tokens, a vocabulary of 8192, depth 16, width 512; its code has 8 heads of 64.
    """

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["layout"], "layout: draw from boxes with classes"]
    max_boxes: Annotated[
        Annotated[int, Limits(at_least=1, at_most=1000)],
        "layout: boxes of an image, at most; the smallest of more are left out",
    ]
    vocabulary_size: Annotated[
        Annotated[int, Limits(at_least=9, at_most=1_000_000)],
        "layout: tokens; corners lie on a grid whose side is its square root: 8192 gives 90 x 90",
    ]
    width: Annotated[Width, "layout: length of each token"]
    depth: Annotated[Depth, "layout: layers of the transformer"]
    num_heads: Annotated[Count, "layout: heads of its attention"]
    head_width: Annotated[Width, "layout: length of a head's queries"]

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def transformer(self) -> TextTransformerConfig:
        """Sizes of the transformer."""
        return TextTransformerConfig(
            vocabulary_size=self.vocabulary_size,
            max_tokens=3 * self.max_boxes + 2,
            width=self.width,
            depth=self.depth,
            num_heads=self.num_heads,
            head_width=self.head_width,
        )


TaskConfig = (
    UnconditionalTask
    | ClassTask
    | InpaintingTask
    | SuperResolutionTask
    | SemanticTask
    | TextTask
    | LayoutTask
)
FACT = "task"  # entry of a model's `config.json`; absent in models of unconditional tasks


def task_record(task: TaskConfig) -> dict[str, Any]:
    """Describe a task for `config.json`, as JSON values."""
    return asdict(task)


def task_from_record(record: Mapping[str, Any]) -> TaskConfig:
    """Restore a task from `task_record`.

    Raises:
        KeyError, TypeError, ValueError: It is not a task of this version.
    """
    kind: type[TaskConfig] = classes_by_kind(TaskConfig)[record["kind"]]
    return from_record(kind, record, "diffusion.task")
