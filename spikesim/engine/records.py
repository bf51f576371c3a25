"""Blocks of structured connectivity as records of the plan: what the kernels of `spikesim.engine.blocks` know of them.

``address`` keeps an array and tells where it is.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from spikesim.connectivity.structured import meetings
from spikesim.engine.memory import in_lines
from spikesim.engine.native import VECTOR, VECTORS
from spikesim.engine.plan import MEETS
from spikesim.engine.sliding import most_rows, open_columns, shape_of
from spikesim.program import AlongBlock, ConvBlock, DenseBlock, Geometry


def dense_record(block: DenseBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.DENSE`."""
    return _ends(block, address) | {"sources": block.weights.shape[0], "targets": block.weights.shape[1]}


class _Lists(NamedTuple):
    """What each row and column of the source of a convolution meets; order: of the kernel's columns in memory."""

    order: np.ndarray
    row_starts: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    whole_runs: int


def conv_record(block: ConvBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.CONV`, with what each row and column of the source meets."""
    lies, out = block.geometry, block.weights.shape[-1]
    (channels, *source), (_, *target) = lies.source_shape, lies.target_shape
    unit, jump = (lies.target_shape[0], 1) if lies.channels_last else (1, math.prod(target))  # from place to place, channel to channel
    lists = _lists(lies, block.weights.itemsize)
    neurons, lines = math.prod(lies.source_shape), source[0] * source[1]
    line_size = source[2] * (channels if lies.channels_last else 1)
    divisions = _division("channels", channels, line_size) | _division("line", line_size, neurons)
    divisions |= _division("lines", lines, neurons)
    return _ends(block, address) | divisions | {
        "weights_at": address(in_lines(block.weights[:, :, :, lists.order])), "channels_last": lies.channels_last,
        "channels": channels, "width": source[2], "lines": lines,
        "line_size": line_size, "targets": math.prod(lies.target_shape), "target_line": target[2] * unit, "jump": jump,
        "grouped": lies.groups > 1, "group_in": channels // lies.groups, "group_out": out,
        "channel_bytes": math.prod(lies.kernel) * out * block.weights.itemsize,
        "row_starts_at": address(lists.row_starts), "rows_at": address(lists.rows), "columns_at": address(lists.columns),
        "runs": len(lists.columns), "whole_runs": lists.whole_runs,
    } | _sliding(block)  # fmt: skip


@lru_cache(256)
def _lists(lies: Geometry, item: int) -> _Lists:
    """Kept, for networks have many convolutions of few geometries, and each engine asks for all of them; item: bytes of a weight."""
    (_, *source), (channels_out, *target), kernel = lies.source_shape, lies.target_shape, lies.kernel
    out = channels_out // lies.groups
    z, y, x = (_axis(lies, axis) for axis in range(3))
    order, runs = _column_order(lies), lies.channels_last and lies.groups == 1
    entry = out * item  # bytes from one place of the kernel to the next
    unit = lies.target_shape[0] if lies.channels_last else 1
    row, line, to = ((a * n + b).ravel() for a, n, b in zip(z[:, :, None], (source[1], kernel[1], target[1]), y[:, None, :], strict=True))
    rows = _in_steps(*_by_source(row, to * target[2] * unit, line * kernel[2] * entry, out, source[0] * source[1]))
    joined = _by_source(x[0], x[2] * unit, np.argsort(order)[x[1]] * entry, out, source[2], join=(unit, entry) if runs else None)
    columns, whole_runs = _side_by_side(*joined, item) if runs else (_in_turn(*joined), 0)
    return _Lists(order, *rows, columns, whole_runs)


def _sliding(block: ConvBlock) -> dict[str, int]:
    """What `spikesim.engine.sliding` wants to know of the block."""
    lies = block.geometry
    stride, columns, out = lies.stride[2], lies.kernel[2], lies.target_shape[0]
    return {
        "slides": _slides(block), "stride": stride, "offset": max(columns - stride, 0) - lies.padding[2],
        "target_width": lies.target_shape[3], "open_columns": open_columns(stride, columns), "together": most_rows(stride, columns, out),
    }  # fmt: skip


def _slides(block: ConvBlock) -> int:
    """The shape of the loop of `spikesim.engine.sliding` for the block, 0 if none fits."""
    lies = block.geometry
    plain = lies.channels_last and lies.groups == 1 and not lies.transposed and lies.dilation[2] == 1
    return shape_of(lies.stride[2], lies.kernel[2], lies.target_shape[0]) if plain and block.weights.dtype == np.int16 else 0


def _axis(lies: Geometry, axis: int) -> np.ndarray:
    """What meets along one axis, int64 (3, meetings): places of the source, of the kernel and of the target."""
    source, target, kernel = lies.source_shape[1 + axis], lies.target_shape[1 + axis], lies.kernel[axis]
    options = kernel, lies.stride[axis], lies.padding[axis], lies.dilation[axis]
    if lies.transposed:
        return np.stack(meetings(source, target, *options))
    return np.stack(meetings(target, source, *options)[::-1])


def _column_order(lies: Geometry) -> np.ndarray:
    """The kernel's columns in the order in which one source meets neighbouring targets, so that their weights lie in one run."""
    stride, dilation, columns = lies.stride[2], lies.dilation[2], np.arange(lies.kernel[2])
    if lies.transposed or stride % dilation:
        return columns
    return np.lexsort((-columns, columns % (stride // dilation)))


def _by_source(source: np.ndarray, target: np.ndarray, weights: np.ndarray, out: int, count: int, *,
               join: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(target, weights, weights in a row) of each meeting, those of each of ``count`` sources together, and where these start.

    join: targets so far apart, whose weights lie so many bytes apart, become one run.
    """
    order = np.lexsort((target, source))
    source, target, weights = source[order], target[order], weights[order]
    new = np.ones(len(source), bool)
    if join is not None:
        new[1:] = (np.diff(source) != 0) | (np.diff(target) != join[0]) | (np.diff(weights) != join[1])
    firsts = np.flatnonzero(new)
    runs = np.diff(np.append(firsts, len(source))) * out
    return np.searchsorted(source[firsts], np.arange(count + 1)), np.stack([target[firsts], weights[firsts], runs], axis=1)


def _in_steps(starts: np.ndarray, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entries of `_by_source` as `spikesim.engine.plan.MEETS`: those of a source in equal steps become one."""
    made: list[tuple[int, ...]] = []
    firsts = [0]
    for first, last in pairwise(starts.tolist()):
        while first < last:
            steps = np.diff(entries[first:last, :2], axis=0)
            count = 1 + len(steps) if (steps == steps[:1]).all() else 1 + int((steps != steps[0]).any(axis=1).argmax())
            made.append((*entries[first, :2], count, *(steps[0] if count > 1 else (0, 0))))
            first += count
        firsts.append(len(made))
    return np.array(firsts), np.array(made, np.int64).reshape(-1, len(MEETS.names or ()))


def _side_by_side(starts: np.ndarray, entries: np.ndarray, item: int) -> tuple[np.ndarray, int]:
    """As `_in_turn`, with the runs divided into pieces of whole vectors, which come first, and rests; how many lists are of the former.

    item: bytes of a weight.
    """
    source = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    counts, most = entries[:, 2], VECTOR * VECTORS
    pieces = -(-(counts // VECTOR) // VECTORS)
    owner = np.repeat(np.arange(len(entries)), pieces)
    begin = (np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * most
    whole = entries[owner] + np.stack([begin, begin * item, 0 * begin], axis=1)
    whole[:, 2] = np.minimum(counts[owner] // VECTOR * VECTOR - begin, most)
    begin = counts // VECTOR * VECTOR
    rest = np.stack([entries[:, 0] + begin, entries[:, 1] + begin * item, counts - begin], axis=1)
    kept = rest[:, 2] > 0
    ends = np.arange(len(starts))
    vectors = _in_turn(np.searchsorted(source[owner], ends), whole)
    return np.concatenate([vectors, _in_turn(np.searchsorted(source[kept], ends), rest[kept])]), len(vectors)


def _in_turn(starts: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """The entries of `_by_source`, int64 (lists, sources, 3): the first of each source, the second, ..., zeros where there is none."""
    numbers = np.diff(starts)
    made = np.zeros((numbers.max(initial=0), len(numbers), 3), np.int64)
    source = np.repeat(np.arange(len(numbers)), numbers)
    made[np.arange(len(entries)) - starts[source], source] = entries
    return made


def along_record(block: AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.ALONG`."""
    outputs, inputs = block.shape
    sources = block.outer * inputs * block.inner
    return _ends(block, address) | _division("inner", block.inner, sources) | _division("inputs", inputs, sources) | {
        "sources": sources, "whole": block.ends.source_start == 0 and block.ends.source_step == 1, "inputs": inputs, "outputs": outputs,
        "inner": block.inner, "row_width": block.weights.shape[1], "starts_at": address(block.starts),
        "outputs_at": address(block.outputs), "rows_at": address(block.rows),
        "singles_at": address(_singles(block)) if block.weights.shape[1] == 1 and np.diff(block.starts).max() == 1 else 0,
        "straight_at": address(block.weights[block.rows, 0].astype(np.int32)) if _is_straight(block) else 0,
    }  # fmt: skip


def _is_straight(block: AlongBlock) -> bool:
    """Whether each output has one entry, that of the input of the same number, and the same one everywhere."""
    same = block.shape[0] == block.shape[1] == len(block.outputs) and block.weights.shape[1] == 1
    return same and bool((np.diff(block.starts) == 1).all()) and np.array_equal(block.outputs, np.arange(len(block.outputs)))


def _singles(block: AlongBlock) -> np.ndarray:
    """The output and the weight of the one entry of each column, int64 (inputs, 2); a column without has a weight of 0."""
    made = np.zeros((len(block.starts) - 1, 2), np.int64)
    with_one = np.flatnonzero(np.diff(block.starts))
    made[with_one] = np.stack([block.outputs, block.weights[block.rows, 0]], axis=1)
    return made


def _division(name: str, by: int, below: int) -> dict[str, int]:
    """The fields by which n // by is n * inverse >> shift for 0 <= n < below, itself below 2**31; a division takes much longer."""
    shift = (by * below).bit_length()
    return {f"{name}_inverse": -(-(1 << shift) // by), f"{name}_shift": shift}


def _ends(block: DenseBlock | ConvBlock | AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, int]:
    ends = {name: value for name, value in vars(block.ends).items() if name != "name"}
    return ends | {"weights_at": address(block.weights), "bits": block.weights.itemsize * 8}
