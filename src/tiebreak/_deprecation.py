"""Renamed arguments of public functions keep working for a release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed_argument(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that it still accepts a keyword argument by its former name.

    The former name raises a DeprecationWarning. Passing both names is a TypeError.

    Args:
        old: the former name.
        new: the present name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(
                        f"{function.__name__}() got both {new!r} and its former name {old!r}: pass {new!r}."
                    )
                warnings.warn(
                    f"{function.__name__}({old}=...) is deprecated and will be removed in the next release: "
                    f"use {new}=... instead.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return wrapper

    return decorate
