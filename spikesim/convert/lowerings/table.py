"""What the tables of operators have in common: the form of a row, and how torch writes sizes and dimensions."""

from collections.abc import Callable
from typing import Any

Row = Callable[..., Any]  # (builder, *the operator's own arguments) -> a node, or a tuple of nodes


def spread(value: Any, dims: int) -> tuple[int, ...]:
    """An option of a layer for each of its space dimensions: torch takes one number for all."""
    numbers = tuple(int(number) for number in value) if isinstance(value, list | tuple) else (int(value),)
    return numbers * dims if len(numbers) == 1 else numbers
