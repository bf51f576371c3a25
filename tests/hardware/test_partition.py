"""Partition and placement: counts against brute force, limits kept, cores filled by a plan, ways shortened."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim.errors import BackendError
from spikesim.hardware.filling import cost
from spikesim.hardware.partition import Hypergraph, Room, messages, partition
from spikesim.hardware.place import distances, place, positions, travel


def random_graph(seed):
    rng = np.random.default_rng(seed)
    vertices, inputs = int(rng.integers(2, 60)), int(rng.integers(0, 10))
    edges = vertices + inputs
    degree = rng.integers(1, 12, edges)
    return Hypergraph(np.concatenate([[0], np.cumsum(degree)]), rng.integers(0, vertices, degree.sum()),
                      np.where(np.arange(edges) < vertices, np.arange(edges), -1), rng.random(edges), rng.integers(1, 20, edges),
                      rng.integers(1, 3, vertices))  # fmt: skip


def brute_messages(graph, core):
    total = 0.0
    for e, rate in enumerate(graph.rate):
        reached = {core[v] for v in graph.pins[graph.starts[e] : graph.starts[e + 1]]}
        total += rate * len(reached - ({core[graph.source[e]]} if graph.source[e] >= 0 else set()))
    return total


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), method=st.sampled_from(["sequential", "random", "grown", "best"]))
def test_limits_are_kept(seed, method):
    """No core holds more compartments, axons or bits than it has room for; messages are those of the definition."""
    graph = random_graph(seed)
    room = Room(size=12, axons=150, bits=5000, word=64, block=4, header=10, own=3)
    core = partition(graph, room, seed=seed, method=method)
    assert messages(graph, core) == pytest.approx(brute_messages(graph, core))
    edges = np.repeat(np.arange(len(graph.rate)), np.diff(graph.starts))
    for part in range(core.max() + 1):
        hit, counts = np.unique(edges[core[graph.pins] == part], return_counts=True)
        size = graph.size[core == part].sum()
        bits = sum(int(cost(n, graph.width[e], room.word, room.block, room.header)) for e, n in zip(hit, counts, strict=True))
        assert 0 < size <= room.size and len(hit) <= room.axons and bits + room.own * size <= room.bits


def test_best_is_never_worse_than_sequential():
    for seed in range(20):
        graph, room = random_graph(seed), Room(size=10, axons=1000, bits=10**6)
        best, plain = (messages(graph, partition(graph, room, seed=seed, method=method)) for method in ("best", "sequential"))
        assert best <= plain + 1e-9


def test_placement_finds_a_hidden_line():
    """Parts that talk to their neighbours on a line only, given in a random order, come to lie side by side."""
    rng = np.random.default_rng(0)
    order, parts = rng.permutation(64), 64
    traffic = np.zeros((parts, parts))
    traffic[order[:-1], order[1:]] = 1.0
    places = positions(parts, (8, 4), 4, 128)
    found = place(traffic, places, seed=1)
    assert sorted(found) == list(range(parts))
    assert travel(traffic, places, found) <= 0.35 * travel(traffic, places, np.arange(parts))
    np.testing.assert_array_equal(found, place(traffic, places, seed=1))


def test_distances():
    """Four cores a tile; the way is counted in tiles, and from chip to chip it is long."""
    places = positions(300, (8, 4), 4, 128)
    assert places[127, 0] == 0 and places[128].tolist() == [1, 0, 0]
    way = distances(places)
    assert way[0, 3] == 0 and way[0, 4] == 1 and way[0, 128] >= 8
    assert (np.abs(np.diff(places[::4], axis=0)[:31, 1:]).sum(axis=1) == 1).all()  # the curve goes from tile to tile


@pytest.mark.skipif(find_spec("mtkahypar") is None, reason="Mt-KaHyPar is not installed: pip install mtkahypar==1.7.post1")
def test_mtkahypar():
    """Its parts keep the limits, are the same each time, and cut fewer messages than a random filling."""
    rng = np.random.default_rng(0)
    label, degree = rng.permutation(400) % 8, 12
    members = [np.flatnonzero(label == k) for k in range(8)]
    pins = np.concatenate([rng.choice(members[k], degree) for k in label])
    graph = Hypergraph(degree * np.arange(401), pins, np.arange(400), np.ones(400), np.full(400, 8), np.ones(400, np.int64))
    room = Room(size=50, axons=1000, bits=10**6)
    core, again, by_chance = (partition(graph, room, seed=1, method=method) for method in ("mtkahypar", "mtkahypar", "random"))
    np.testing.assert_array_equal(core, again)
    assert np.bincount(core).max() <= room.size
    assert messages(graph, core) < 0.7 * messages(graph, by_chance)


@pytest.mark.skipif(find_spec("mtkahypar") is not None, reason="Mt-KaHyPar is installed")
def test_missing_mtkahypar_says_how_to_get_it():
    with pytest.raises(BackendError, match=r"not installed; get it with\s+pip install mtkahypar==1\.7\.post1"):
        partition(random_graph(0), Room(size=12, axons=150, bits=5000, word=64, block=4, header=10, own=3), seed=0, method="mtkahypar")
