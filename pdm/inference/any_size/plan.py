"""Plans how an image of any size is drawn, from a model that knows one size or a few.

A composition is drawn first, at a size that the model knows; rounds of enlargement by 2 or 4 follow
until it covers the image. Nothing is ever stretched: where shapes differ, edges are cut off, and
they are cut before they cost anything. If all rounds would end larger than asked for, the image
is reduced before the last one, so that each pixel of the result is drawn as such.

Sizes are (H, W) in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pdm.errors import BadInput
from pdm.inference.any_size.rectangles import Rectangle, Size, centred, snap
from pdm.inference.pictures.windows import round_up

# An image whose shape differs more from every shape that the model knows is composed of several
# images side by side; up to here the rest of one is cut off. See docs/any-size.md.
MAX_CUT_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Round:
    """One enlargement.

    Args:
        area: What is enlarged, of the image before.
        size: Of the area after it was reduced; mirror images fill what the area lacks of it.
        factor: How many times it is enlarged.
    """

    area: Rectangle
    size: Size
    factor: int

    @property
    def result(self) -> Size:
        """Size of the image after the round."""
        return self.size[0] * self.factor, self.size[1] * self.factor


@dataclass(frozen=True, slots=True)
class Plan:
    """How an image is drawn.

    Args:
        size: Of the image.
        composition: Size of what is drawn first.
        rounds: Enlargements, in turn.
        area: What is reduced to `size`, of the image after all rounds.
    """

    size: Size
    composition: Size
    rounds: tuple[Round, ...]
    area: Rectangle

    @property
    def is_reduced_last(self) -> bool:
        """Whether the image is reduced after all rounds, and not only cut."""
        return self.area.width > self.size[1] or self.area.height > self.size[0]

    @property
    def cut_share(self) -> float:
        """Share of the composition's area that the image does not show."""
        height, width = self.composition
        scale = max(self.size[0] / height, self.size[1] / width)
        return 1 - self.size[0] * self.size[1] / (scale * scale * height * width)

    @property
    def shown_parts(self) -> tuple[Rectangle, ...]:
        """Where the image is, in pixels: in the composition, then in what each round gives."""
        found = [self.area]
        for each in reversed(self.rounds):
            area, scale = each.area, each.area.width / each.size[1]
            inside = found[-1].times(scale / each.factor)
            found.append(replace(inside, top=area.top + inside.top, left=area.left + inside.left))
        return tuple(reversed(found))

    def __str__(self) -> str:
        steps = [f"compose {_text(self.composition)}"]
        last = self.composition
        for each in self.rounds:
            if each.size != last:
                reduced = each.area.width > each.size[1] or each.area.height > each.size[0]
                steps.append(f"{'reduce' if reduced else 'cut'} to {_text(each.size)}")
            steps.append(f"enlarge {each.factor} times")
            last = each.result
        if last != self.size:
            steps.append(f"{'reduce' if self.is_reduced_last else 'cut'} to {_text(self.size)}")
        return ", ".join(steps)


def plan_drawing(
    size: Size,
    known: Sequence[Size],
    factors: Sequence[int],
    coarse_unit: int,
    unit: int,
    tile: Size | None = None,
) -> Plan:
    """Plan an image that a model draws from nothing.

    Args:
        size: Of the image.
        known: Sizes that the model learned; the nearest in the logarithm of the ratio is taken.
        factors: By which it can enlarge.
        coarse_unit: Sides of compositions are multiples of it.
        unit: Sides of enlarged images are multiples of it.
        tile: Size that another model learned, which enlarges; None if it is the one that draws.
    """
    nearest = nearest_size(known, size)
    composition = _widen(nearest, size, coarse_unit)
    return _plan(size, composition, tile or nearest, factors, unit)


def nearest_size(known: Sequence[Size], size: Size) -> Size:
    """Of the sizes that a model learned, the nearest in the logarithm of the ratio."""
    return min(known, key=lambda each: (abs(_log_ratio(each) - _log_ratio(size)), each))


def plan_enlargement(
    picture: Size, size: Size, tile: Size, factors: Sequence[int], unit: int
) -> Plan:
    """Plan the enlargement of an image, whose edges are cut off where the shapes differ.

    Args:
        picture: Its size.
        size: To reach.
        tile: Size that the model learned; it sees no smaller one.
        factors: See `plan_drawing`, as for `unit`.

    Raises:
        BadInput: The image covers the size already.
    """
    if picture[0] >= size[0] and picture[1] >= size[1]:
        raise BadInput(
            f"the image is {_text(picture)}, which is not smaller than {_text(size)}; "
            "give a larger size"
        )
    return _plan(size, picture, tile, factors, unit)


def _plan(size: Size, start: Size, tile: Size, factors: Sequence[int], unit: int) -> Plan:
    scale = max(size[0] / start[0], size[1] / start[1])
    picture, whole = start, Rectangle(0, 0, *start)
    part = centred((size[0] / scale, size[1] / scale), whole, start)
    rounds: list[Round] = []
    for factor, is_last in _choose_factors(scale, factors):
        if rounds and is_last:
            # Not before the first round: that would throw away what the composition shows.
            current, part = _reduced_round(picture, part, size, tile, factor, unit)
        else:
            current, part = _cut_round(picture, part, tile, factor, unit)
        rounds.append(current)
        picture = current.result
    return Plan(size, start, tuple(rounds), snap(part, size))


def _choose_factors(scale: float, factors: Sequence[int]) -> list[tuple[int, bool]]:
    """Return the factors of the rounds, each with whether it is the last, for the least product
    that reaches a scale; as few rounds as possible."""
    product = 1
    while product < scale * (1 - 1e-12):
        product *= min(factors)
    chosen: list[int] = []
    while product > 1:
        chosen.append(max(factor for factor in factors if product % factor == 0))
        product //= chosen[-1]
    return [(factor, number == len(chosen)) for number, factor in enumerate(chosen, 1)]


def _cut_round(
    picture: Size, part: Rectangle, tile: Size, factor: int, unit: int
) -> tuple[Round, Rectangle]:
    """Enlarge what is needed of an image, and no less than makes a tile.

    Returns:
        The round, and where `part` is in its result.
    """
    step = max(1, unit // factor)
    needed = (max(part.height, tile[0] / factor), max(part.width, tile[1] / factor))
    height, width = (round_up(math.ceil(side - 1e-6), step) for side in needed)
    area = snap(centred((height, width), part, picture), (height, width))
    inside = Rectangle(part.top - area.top, part.left - area.left, part.height, part.width)
    # An area at whole pixels may end up to a pixel before the part does.
    inside = centred((part.height, part.width), inside, (height, width))
    return Round(area, (height, width), factor), inside.times(factor)


def _reduced_round(
    picture: Size, part: Rectangle, size: Size, tile: Size, factor: int, unit: int
) -> tuple[Round, Rectangle]:
    """Reduce an image so that the enlarged one has the pixels of the result.

    Returns:
        The round, and where the result is in what it gives, at whole pixels.
    """
    step = max(1, unit // factor)
    needed = [round_up(-(-side // factor), step) for side in size]
    # A little more than the part is cut off where rounding up would need more than there is.
    scale = max(size[1] / (factor * part.width), needed[0] / picture[0], needed[1] / picture[1])
    height, width = (
        max(side, round_up(-(-least // factor), step))
        for side, least in zip(needed, tile, strict=True)
    )
    area = centred((height / scale, width / scale), part, picture)
    current = Round(snap(area, (height, width)), (height, width), factor)
    shown = (size[0] / (factor * scale), size[1] / (factor * scale))
    inside = centred(shown, part, picture)
    moved = Rectangle(inside.top - area.top, inside.left - area.left, *shown).times(factor * scale)
    return current, snap(centred(size, moved, current.result), size)


def _widen(nearest: Size, size: Size, unit: int) -> Size:
    """Return a size of another shape, if too much of the nearest one would be cut off; of several
    images side by side, but not larger than the image."""
    if math.exp(abs(_log_ratio(nearest) - _log_ratio(size))) <= MAX_CUT_FACTOR:
        return nearest
    height, width = nearest
    if _log_ratio(size) > _log_ratio(nearest):
        wanted = min(height * size[1] / size[0], size[1])
        return height, max(width, round_up(math.ceil(wanted), unit))
    wanted = min(width * size[0] / size[1], size[0])
    return max(height, round_up(math.ceil(wanted), unit)), width


def _log_ratio(size: Size) -> float:
    return math.log(size[1] / size[0])


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
