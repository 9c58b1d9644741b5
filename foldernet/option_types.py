"""What options classes are made of: the base that checks them, and the marks on their fields."""

import dataclasses
import difflib
import numbers
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tyro.conf import arg

from foldernet.terminal import UserError, listed


class Range(NamedTuple):
    """The numbers that an option takes, both ends included; None is no limit."""

    low: float | None = None
    high: float | None = None


MAY_CHANGE_ON_RESUME = "may change when a run is resumed"


def shown_as(metavar: str = "", *aliases: str):
    """How the help shows an option whose default is to have none."""
    return arg(metavar=metavar or None, help_behavior_hint="", aliases=aliases)


@typing.dataclass_transform(frozen_default=True)
class BaseOptions:
    """The base of options classes, each of which is a frozen dataclass.

    A field is `name: Annotated[type, *marks] = default`, and the string below it is its help. Marks
    are a `Range`, `MAY_CHANGE_ON_RESUME`, and those of tyro.

    Raises:
        UserError: a value is outside its range, or isn't one of its choices.
    """

    def __init_subclass__(cls):
        dataclasses.dataclass(frozen=True)(cls)

    def __post_init__(self):
        for name, (kind, marks) in fields(type(self)).items():
            if (value := getattr(self, name)) is not None:
                _check(flag(name), value, kind, marks)


def fields(owner: type[BaseOptions]) -> dict[str, tuple[Any, tuple]]:
    """Name -> the type, without None, and the marks of each option."""
    kinds, marked = typing.get_type_hints(owner), typing.get_type_hints(owner, include_extras=True)
    names = owner.__dataclass_fields__
    return {name: (_kind(kinds[name]), getattr(marked[name], "__metadata__", ())) for name in names}


def _kind(hint: Any) -> Any:
    """The type itself; of several, as with None, the first."""
    several = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint)[0] if several else hint


def _check(option: str, value: Any, kind: Any, marks: tuple) -> None:
    if typing.get_origin(kind) is Literal and value not in (choices := typing.get_args(kind)):
        raise UserError(f"{option} '{value}' is unknown. Choose from {listed(choices)}.")
    for limits in (mark for mark in marks if isinstance(mark, Range)):
        low, high = limits.low, limits.high
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, numbers.Integral if kind is int else numbers.Real):
                whole = "whole " if kind is int else ""
                raise UserError(f"{option} {number!r} is not a {whole}number.")
            if low is not None and not number >= low:
                raise UserError(f"{option} {number} is too small; it must be at least {low}.")
            if high is not None and not number <= high:
                raise UserError(f"{option} {number} is too large; it must be at most {high}.")
        if isinstance(value, tuple) and list(value) != sorted(value):
            raise UserError(f"{option}: the lower number comes first, {value[-1]} {value[0]}.")


def converted(owner: type[BaseOptions], values: dict[str, Any]) -> dict[str, Any]:
    """Values by name, as the fields of `owner` have them: what JSON or a caller from Python gives
    as a list or text may be a tuple or path.

    Raises:
        UserError: a name that is no option.
    """
    known = fields(owner)
    for name in values:
        if name not in known:
            raise UserError(f"There is no option '{name}'{nearest(name, known)}")
    return {name: _convert(known[name][0], value) for name, value in values.items()}


def _convert(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        return tuple(_convert(typing.get_args(kind)[0], item) for item in value)
    return Path(value) if kind is Path else value


def flag(name: str) -> str:
    """`--image-size` of `image_size`."""
    return "--" + name.replace("_", "-")


def nearest(name: str, known: Iterable[str], otherwise: str = ". --help lists them.") -> str:
    """How an error on an unknown name ends: with the nearest known one, or `otherwise`."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)  # less isn't a slip
    return f"; did you mean '{near[0]}'?" if near else otherwise
