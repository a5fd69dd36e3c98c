"""Every number in params.yaml has limits."""

import copy
import json
import shutil
import types
from dataclasses import is_dataclass
from functools import reduce
from operator import getitem
from typing import Annotated, Union, get_args, get_origin

import pytest
import yaml
from shipped_params import SHIPPED, put
from torch import device

from pdm import params
from pdm.config import Params
from pdm.config.limits import Limits, field_types
from pdm.diffusion.stochastic import fresh_noise
from pdm.errors import BadInput
from pdm.params.override import set_values


def all_kinds(kind=Params):
    """Each dataclass of settings below this one, and itself."""
    found = {kind}
    pending = list(field_types(kind).values())
    while pending:
        hint = pending.pop()
        if isinstance(hint, type) and is_dataclass(hint):
            found |= all_kinds(hint)
        pending += [] if get_origin(hint) is None else get_args(hint)
    return found


def numbers_of(hint, extras=()):
    """What `Annotated` adds to each int and float within a type."""
    if get_origin(hint) is Annotated:
        return numbers_of(get_args(hint)[0], (*extras, *get_args(hint)[1:]))
    if get_origin(hint) in (Union, types.UnionType):
        return [found for member in get_args(hint) for found in numbers_of(member, extras)]
    if get_origin(hint) is tuple:
        return [found for member in get_args(hint) for found in numbers_of(member)]
    return [extras] if hint in (int, float) else []


def numbers(values, path=()):
    """The place of every number in nested values."""
    if isinstance(values, dict | list):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        return [place for key, value in pairs for place in numbers(value, (*path, key))]
    return [path] if type(values) in (int, float) else []


VALUES = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
WHOLE = [place for place in numbers(VALUES) if type(reduce(getitem, place, VALUES)) is int]


@pytest.mark.parametrize("place", WHOLE, ids=lambda place: ".".join(map(str, place)))
def test_a_whole_number_that_would_overflow_is_refused(place):
    for value in (2**63, -(2**63)):
        values = copy.deepcopy(VALUES)
        put(*place, value)(values)
        with pytest.raises(BadInput) as caught:
            params.parse(json.dumps(values), SHIPPED)
        assert ".".join(map(str, place)) in str(caught.value)


def test_a_number_of_thousands_of_digits_is_refused_in_one_line(refused_text):
    text = refused_text(f"sample: {{seed: {'9' * 5000}}}\n")
    assert "5000 digits" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "kind", sorted(all_kinds(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_every_number_has_limits(kind):
    unlimited = [
        name
        for name, hint in field_types(kind).items()
        for number in numbers_of(hint)
        if not any(isinstance(extra, Limits) for extra in number)
    ]
    assert unlimited == []


def test_the_largest_seed_can_be_used_for_every_sample(tmp_path):
    path = tmp_path / "params.yaml"
    shutil.copy(SHIPPED, path)
    set_values(path, [f"sample.seed={2**62}"])
    loaded = params.load(path)
    seed = loaded.sample.seed + loaded.sample.num_images
    (noise,) = fresh_noise([seed], [(1, 1, 1)], device("cpu"))()
    assert noise.shape == (1, 1, 1, 1)
