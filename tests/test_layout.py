"""The layout: every port of every population has input slots of its own in each part, and shares them at most with other stages."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spikesim.connectivity.tables import BLOCK
from spikesim.program import Layout, make_layout

POPULATIONS = st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=6)


def spans(layout: Layout, chosen: list[int], parts: Iterable[int] | None = None) -> list[tuple[int, int]]:
    """The slots [first, last) of each population and port, in all parts or some."""
    found = []
    for part in range(layout.parts) if parts is None else parts:
        for p in chosen:
            width = int(layout.bounds[part + 1, p] - layout.bounds[part, p])
            found += [(int(first), int(first) + width) for first in layout.slots[part, p] if first >= 0 and width]
    return sorted(found)


def apart(found: list[tuple[int, int]]) -> bool:
    return all(end <= first for (_, end), (first, _) in pairwise(found))


@given(POPULATIONS, st.integers(1, 3))
def test_slots_belong_to_one(populations, parts):
    """Without stages no slot has two owners, nor do parts share blocks."""
    sizes, ports, _ = zip(*populations, strict=True)
    layout = make_layout(list(sizes), list(ports), parts)
    found = spans(layout, list(range(len(sizes))))
    assert apart(found)
    assert layout.total == max((end for _, end in found), default=layout.total)
    ends = [(of_part[0][0], of_part[-1][1]) for part in range(parts) if (of_part := spans(layout, list(range(len(sizes))), [part]))]
    assert all((end - 1) // BLOCK < first // BLOCK for (_, end), (first, _) in pairwise(ends))


@given(POPULATIONS, st.integers(1, 3))
def test_stages_share_slots(populations, parts):
    """With stages that holds for the populations of each; all together take no more than the largest stage."""
    sizes, ports, stages = map(list, zip(*populations, strict=True))
    layout = make_layout(sizes, ports, parts, stages=stages)
    members = [[p for p in range(len(sizes)) if stages[p] == stage] for stage in set(stages)]
    assert all(apart(spans(layout, chosen)) for chosen in members)
    alone = [make_layout([sizes[p] for p in chosen], [ports[p] for p in chosen], parts) for chosen in members]
    assert layout.total <= -(-max(one.total for one in alone) // BLOCK) * BLOCK * parts
