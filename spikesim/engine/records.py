"""Blocks of structured connectivity as records of the plan: what the kernels of `spikesim.engine.blocks` know of them.

``address`` keeps an array and tells where it is.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from spikesim.connectivity.structured import meetings
from spikesim.program import AlongBlock, ConvBlock, DenseBlock


def dense_record(block: DenseBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.DENSE`."""
    return _ends(block, address) | {"sources": block.weights.shape[0], "targets": block.weights.shape[1]}


def conv_record(block: ConvBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.CONV`, with what each row and column of the source meets."""
    (_, *kernel, out), (_, *source), (_, *target) = block.weights.shape, block.source_shape, block.target_shape
    z, y, x = (_axis(block, axis) for axis in range(3))
    order, runs = _column_order(block), block.channels_last and block.groups == 1
    entry = out * block.weights.itemsize  # bytes from one place of the kernel to the next
    row, line, to = ((a * n + b).ravel() for a, n, b in zip(z[:, :, None], (source[1], kernel[1], target[1]), y[:, None, :], strict=True))
    tables = {"row": _by_source(row, to * target[2], line * kernel[2] * entry, out, source[0] * source[1]),
              "column": _by_source(x[0], x[2], np.argsort(order)[x[1]] * entry, out, source[2], join=entry if runs else 0)}  # fmt: skip
    return _ends(block, address) | {
        "weights_at": address(np.ascontiguousarray(block.weights[:, :, :, order])), "channels_last": block.channels_last,
        "channels": block.source_shape[0], "width": source[2], "source_volume": math.prod(source),
        "target_channels": block.target_shape[0], "target_volume": math.prod(target), "group_in": block.source_shape[0] // block.groups,
        "group_out": out, "channel_bytes": math.prod(kernel) * entry,
        **{f"{name}_starts_at": address(starts) for name, (starts, _) in tables.items()},
        **{f"{name}s_at": address(entries) for name, (_, entries) in tables.items()},
    }  # fmt: skip


def _axis(block: ConvBlock, axis: int) -> np.ndarray:
    """What meets along one axis, int64 (3, meetings): places of the source, of the kernel and of the target."""
    source, target, kernel = block.source_shape[1 + axis], block.target_shape[1 + axis], block.weights.shape[1 + axis]
    options = kernel, block.stride[axis], block.padding[axis], block.dilation[axis]
    if block.transposed:
        return np.stack(meetings(source, target, *options))
    return np.stack(meetings(target, source, *options)[::-1])


def _column_order(block: ConvBlock) -> np.ndarray:
    """The kernel's columns in the order in which one source meets neighbouring targets, so that their weights lie in one run."""
    stride, dilation, columns = block.stride[2], block.dilation[2], np.arange(block.weights.shape[3])
    if block.transposed or stride % dilation:
        return columns
    return np.lexsort((-columns, columns % (stride // dilation)))


def _by_source(source: np.ndarray, target: np.ndarray, weights: np.ndarray, out: int, count: int, *,
               join: int = 0) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(target, weights, weights in a row) of each meeting, those of each of ``count`` sources together, and where these start.

    join: neighbouring targets whose weights lie so many bytes apart become one run, if not 0.
    """
    order = np.lexsort((target, source))
    source, target, weights = source[order], target[order], weights[order]
    new = np.ones(len(source), bool)
    if join:
        new[1:] = (np.diff(source) != 0) | (np.diff(target) != 1) | (np.diff(weights) != join)
    firsts = np.flatnonzero(new)
    runs = np.diff(np.append(firsts, len(source))) * out
    return np.searchsorted(source[firsts], np.arange(count + 1)), np.stack([target[firsts], weights[firsts], runs], axis=1)


def along_record(block: AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.ALONG`."""
    outputs, inputs = block.shape
    return _ends(block, address) | {
        "sources": block.outer * inputs * block.inner, "inputs": inputs, "outputs": outputs, "inner": block.inner,
        "row_width": block.weights.shape[1], "starts_at": address(block.starts), "outputs_at": address(block.outputs),
        "rows_at": address(block.rows),
    }  # fmt: skip


def _ends(block: DenseBlock | ConvBlock | AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, int]:
    ends = {name: value for name, value in vars(block.ends).items() if name != "name"}
    return ends | {"weights_at": address(block.weights), "bits": block.weights.itemsize * 8}
