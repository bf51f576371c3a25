"""Memory that threads write: what one of them writes lies apart from what another does.

Two cores that write to one cache line take it from each other each time. Cores also read ahead in memory, up to the end of
a page, and so take lines away from a core that works on the neurons after their own.
"""

from itertools import pairwise

import numpy as np

from spikesim.barrier import LINE

PAGE = 4096  # bytes


def lines(count: int, size: int, dtype: str) -> np.ndarray:
    """Zeros (count, size) in rows that share no cache line."""
    number = np.dtype(dtype).itemsize
    step = -(-size * number // LINE) * LINE
    raw = np.zeros(count * step + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count * step].view(dtype).reshape(count, step // number)[:, :size]


def in_lines(array: np.ndarray) -> np.ndarray:
    """A copy that begins with a cache line, so that its vectors lie in as few of them as can be."""
    copy = lines(1, array.size, array.dtype.name)[0]
    copy[:] = array.ravel()
    return copy.reshape(array.shape)


class Row:
    """A number for each neuron of a population, each part's share a page away from all else.

    bounds: the first neuron of each part, and the number of neurons. shares: the memory of each part, if it is there already.
    addresses: int64 (parts,), of each share, as if it began with neuron 0.
    """

    def __init__(self, bounds: np.ndarray, dtype: str, shares: list[np.ndarray] | None = None) -> None:
        self.spans = [(int(low), int(high)) for low, high in pairwise(bounds)]
        self.shares = [_apart(high - low, dtype) for low, high in self.spans] if shares is None else shares
        self.addresses = np.array(
            [share.ctypes.data - low * share.itemsize for share, (low, _) in zip(self.shares, self.spans, strict=True)]
        )

    def write(self, values: np.ndarray) -> None:
        for share, (low, high) in zip(self.shares, self.spans, strict=True):
            share[:] = values[low:high]

    def read(self) -> np.ndarray:
        return np.concatenate(self.shares)


def rows_together(bounds: list[np.ndarray], dtype: str) -> tuple[list[Row], list[np.ndarray]]:
    """Rows whose shares of a part lie side by side, and the memory of each part, so that all can be written at once."""
    step = LINE // np.dtype(dtype).itemsize
    sizes = [-(-np.diff(each) // step) * step for each in bounds]  # of whole cache lines
    ends = np.cumsum([np.zeros_like(sizes[0]), *sizes], axis=0) if sizes else np.zeros((1, 0), np.int64)
    memory = [_apart(int(end), dtype) for end in ends[-1]]
    rows = [
        Row(each, dtype, [whole[start : start + size] for whole, start, size in zip(memory, starts, np.diff(each), strict=True)])
        for each, starts in zip(bounds, ends, strict=False)
    ]
    return rows, memory


def _apart(size: int, dtype: str) -> np.ndarray:
    """Zeros a page away from all else."""
    margin = PAGE // np.dtype(dtype).itemsize
    return lines(1, size + 2 * margin, dtype)[0, margin : margin + size]
