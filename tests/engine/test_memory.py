"""What threads write lies apart, and rows keep their values."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikesim.engine.memory import LINE, PAGE, Row, lines, rows_together


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
@pytest.mark.parametrize(("count", "size"), [(1, 1), (3, 7), (2, 64), (4, 1000), (0, 5), (2, 0)])
def test_rows_begin_on_cache_lines(count, size, dtype):
    """They are zero, and each has its lines for itself."""
    made = lines(count, size, dtype)
    assert (made.shape, made.dtype) == ((count, size), np.dtype(dtype))
    assert not made.any()
    starts = [row.ctypes.data for row in made if size]
    assert all(start % LINE == 0 for start in starts)
    assert all(b - a >= size * made.itemsize for a, b in pairwise(starts))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_shares_hold_the_row(sizes):
    """What is written is read again; addresses are those of neuron 0, and shares lie a page apart from each other."""
    bounds = np.cumsum([0, *sizes])
    row = Row(bounds, "float32")
    row.write(np.arange(bounds[-1]))
    np.testing.assert_array_equal(row.read(), np.arange(bounds[-1]))
    for share, address, low in zip(row.shares, row.addresses, bounds, strict=False):
        assert address + 4 * low == share.ctypes.data
    spans = sorted((share.ctypes.data, share.ctypes.data + share.nbytes) for share in row.shares if len(share))
    assert all(after - end >= PAGE for (_, end), (after, _) in pairwise(spans))


@given(st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=2), min_size=1, max_size=5))
def test_rows_together_are_written_at_once(sizes):
    """They hold what they hold apart, on cache lines of their own; a copy of each part's memory is a copy of all of them."""
    bounds = [np.cumsum([0, *each]) for each in sizes]
    rows, memory = rows_together(bounds, "float32")
    for k, (row, each) in enumerate(zip(rows, bounds, strict=True)):
        row.write(np.arange(each[-1]) + 100 * k)
    kept = [each.copy() for each in memory]
    for each in memory:
        each[:] = -1
    assert all((row.read() == -1).all() for row in rows)
    for each, copy in zip(memory, kept, strict=True):
        each[:] = copy
    for k, (row, each) in enumerate(zip(rows, bounds, strict=True)):
        np.testing.assert_array_equal(row.read(), np.arange(each[-1]) + 100 * k)
        assert all(share.ctypes.data % LINE == 0 for share in row.shares if len(share))


def test_no_rows_together():
    assert rows_together([], "float32") == ([], [])
