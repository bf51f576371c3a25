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

    bounds: the first neuron of each part, and the number of neurons. addresses: int64 (parts,), of each share, as if it
    began with neuron 0.
    """

    def __init__(self, bounds: np.ndarray, dtype: str) -> None:
        self.spans = [(int(low), int(high)) for low, high in pairwise(bounds)]
        margin = PAGE // np.dtype(dtype).itemsize
        self.shares = [lines(1, high - low + 2 * margin, dtype)[0, margin : margin + high - low] for low, high in self.spans]
        self.addresses = np.array(
            [share.ctypes.data - low * share.itemsize for share, (low, _) in zip(self.shares, self.spans, strict=True)]
        )

    def write(self, values: np.ndarray) -> None:
        """Write a value for each neuron, or one for all."""
        for share, (low, high) in zip(self.shares, self.spans, strict=True):
            share[:] = values[low:high] if values.ndim else values

    def read(self) -> np.ndarray:
        return np.concatenate(self.shares)
