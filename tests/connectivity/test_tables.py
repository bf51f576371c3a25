"""Synapse tables hold every synapse once, where its source and delay say, with the weight it was drawn."""

import numpy as np
import pytest
from scipy import stats

from spikesim.compiler import compile_network
from spikesim.connectivity import AllToAll, FixedIndegree, FixedOutdegree, FixedProbability, FixedTotalNumber, Matrix, OneToOne, PairList
from spikesim.connectivity.tables import BLOCK
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.stimulus import Poisson
from spikesim.synapses import Delta, ExponentialCurrent

RARE = 1e-3


def synapses(program) -> np.ndarray:
    """Rows (source population, source, target population, port, target, delay in steps, weight) of all tables, sorted."""
    owners = {}
    for part in range(program.layout.parts):
        for cells in program.cells:
            low, high = program.layout.bounds[part : part + 2, cells.index]
            for port in range(len(cells.ports)):
                first = int(program.layout.slots[part, cells.index, port])
                owners |= {first + k: (cells.index, port, int(low) + k) for k in range(high - low)}
    rows = []
    for t in program.tables:
        width = len(t.delays)
        assert len(t.segments) == program.cells[t.source].size * width + 1
        assert t.segments[0] == 0
        assert t.segments[-1] == len(t.targets)
        of_row = np.repeat(np.arange(len(t.segments) - 1), np.diff(t.segments))
        weights = np.broadcast_to(t.weights, len(t.targets)) if len(t.weights) == 1 else t.weights
        for row, slot, weight in zip(of_row, t.targets, weights, strict=True):
            population, port, target = owners[t.base + int(slot)]
            quantum = program.cells[population].ports[port].quantum
            rows.append((t.source, row // width, population, port, target, t.delays[row % width], weight * quantum))
    return np.array(sorted(rows), np.float64).reshape(-1, 7)


def between(rule, weight, delay, *, sources=30, targets=40, dt=0.5, seed=1, parts=1):
    """Compiled: two populations and a projection."""
    net = Network()
    source, target = net.population("source", sources, Poisson(rate=1.0)), net.population("target", targets, IF())
    net.project(source, target, rule, weight=weight, delay=delay)
    return compile_network(net, dt=dt, seed=seed, parts=parts)


def labelled(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight that tells the number of the synapse, and a delay that follows from it."""
    return np.arange(1.0, count + 1.0), np.arange(count) * 7 % 12 * 0.5 + 0.5


# ---- where synapses are found --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 3])
def test_each_synapse_lies_at_its_delay(parts):
    """Synapse k of a list has weight k and delay k of the arrays, and leads from source k to target k."""
    rng = np.random.default_rng(1)
    given_sources, given_targets = rng.integers(0, 30, 500), rng.integers(0, 40, 500)
    weights, delays = labelled(500)
    found = synapses(between(PairList(given_sources, given_targets), weights, delays, parts=parts))
    wanted = np.array(sorted(zip(given_sources, given_targets, delays / 0.5, weights, strict=True)), np.float64)
    np.testing.assert_array_equal(found[:, [1, 4, 5, 6]], wanted)


def test_all_to_all_takes_a_matrix_of_weights():
    """Weights and delays of all-to-all are matrices (sources, targets)."""
    weights, delays = (array.reshape(30, 40) for array in labelled(1200))
    for _, source, _, _, target, delay, weight in synapses(between(AllToAll(), weights, delays)):
        assert (weight, delay * 0.5) == (weights[int(source), int(target)], delays[int(source), int(target)])


def test_all_to_all_without_autapses_takes_a_whole_matrix():
    """Without autapses the matrix keeps its place for each pair; that of a neuron with itself is not used."""
    net = Network()
    cells = net.population("cells", 12, IF())
    weights, delays = (array.reshape(12, 12) for array in labelled(144))
    net.project(cells, cells, AllToAll(autapses=False), weight=weights, delay=delays)
    found = synapses(compile_network(net, dt=0.5))
    pairs = [(s, t) for s in range(12) for t in range(12) if s != t]
    np.testing.assert_array_equal(found[:, [1, 4]], pairs)
    np.testing.assert_array_equal(found[:, 6], [weights[pair] for pair in pairs])
    np.testing.assert_array_equal(found[:, 5] * 0.5, [delays[pair] for pair in pairs])


@pytest.mark.parametrize("rule", [FixedIndegree(4), FixedOutdegree(4), FixedTotalNumber(160), FixedTotalNumber(160, multapses=False)])
def test_arrays_of_drawn_rules(rule):
    """Each given weight is used once, together with its delay; weights of one target (or source) lie together."""
    count = rule.synapse_count(30, 40, 0)
    weights, delays = labelled(count)
    found = synapses(between(rule, weights, delays))
    np.testing.assert_array_equal(np.sort(found[:, 6]), weights)
    np.testing.assert_array_equal(found[:, 5] * 0.5, delays[found[:, 6].astype(int) - 1])
    if isinstance(rule, FixedIndegree | FixedOutdegree):
        row = found[:, 4 if isinstance(rule, FixedIndegree) else 1]
        np.testing.assert_array_equal((found[:, 6] - 1) // 4, row)
        np.testing.assert_array_equal(synapses(between(rule, weights.reshape(-1, 4), delays.reshape(-1, 4))), found)


def test_matrix_entries():
    """Each nonzero entry at its place, scaled by the projection's weight."""
    weights = np.random.default_rng(2).integers(-3, 4, (30, 40)) / 4
    found = synapses(between(Matrix(weights), 2.0, 1.5))
    made = np.zeros((30, 40))
    made[found[:, 1].astype(int), found[:, 4].astype(int)] = found[:, 6]
    np.testing.assert_array_equal(made, 2.0 * weights)
    assert len(found) == np.count_nonzero(weights)
    assert (found[:, 5] == 3).all()


def test_slices_and_receptors():
    """Slices connect the neurons they name, at the receptor they name, though all share one table."""
    net = Network()
    cells = net.population("cells", 20, LIF(receptors={"hit": Delta(), "exc": ExponentialCurrent()}))
    net.project(cells[1:11:2], cells[5:20:3], OneToOne(), weight=1.0, delay=0.5, receptor="hit")
    net.project(cells[10:], cells[:10], OneToOne(), weight=-8.0, delay=1.0, receptor="exc")
    found = synapses(compile_network(net, dt=0.5, parts=2))
    wanted = [(0, s, 0, 0, t, 1, 1.0) for s, t in zip(range(1, 11, 2), range(5, 20, 3), strict=True)]
    wanted += [(0, s, 0, 1, s - 10, 2, -8.0) for s in range(10, 20)]
    np.testing.assert_array_equal(found, sorted(wanted))


def crowd(seed=3, parts=1):
    """Three populations, many projections of all kinds."""
    net = Network()
    receptors = {"hit": Delta(), "exc": ExponentialCurrent()}
    a, b = (net.population(name, size, LIF(receptors=receptors)) for name, size in (("a", 23), ("b", 7)))
    c = net.population("c", 11, Poisson(rate=1.0))
    net.project(a, [a, b], FixedProbability(0.3), weight=Normal(1.0, 0.5), delay=Uniform(0.5, 4.0), receptor="exc")
    net.project(b, a[::2], FixedIndegree(3), weight=LogNormal(0.0, 0.5), delay=1.0, receptor="hit")
    net.project(c[1:9:3], [b, a[3:20:5]], FixedOutdegree(4), weight=ClippedNormal(1.0, 1.0, low=0.0), delay=2.0, receptor="hit")
    net.project(b, b, FixedTotalNumber(30, multapses=False), weight=2.0, delay=ClippedNormal(3.0, 2.0, low=0.5), receptor="exc")
    net.project(a, b, AllToAll(), weight=np.arange(161.0), delay=1.5, receptor="hit")
    return compile_network(net, dt=0.5, seed=seed, parts=parts)


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_parts_hold_the_same_synapses(parts):
    """However many parts there are, the tables hold the same synapses with the same weights and delays."""
    np.testing.assert_array_equal(synapses(crowd(parts=parts)), synapses(crowd()))
    assert len({table.base // BLOCK for table in crowd(parts=parts).tables}) == parts
    assert not np.array_equal(synapses(crowd(seed=4))[:, 6], synapses(crowd())[:, 6])


def test_targets_beyond_a_block():
    """A population with more neurons than a block has slots is reached to its end."""
    size = BLOCK + 1000
    program = between(OneToOne(), np.arange(size) % 1000 + 1.0, 0.5, sources=size, targets=size)
    assert len(program.tables) == 2
    found = synapses(program)
    np.testing.assert_array_equal(found[:, 1], np.arange(size))
    np.testing.assert_array_equal(found[:, 4], np.arange(size))
    np.testing.assert_array_equal(found[:, 6], np.arange(size) % 1000 + 1.0)


# ---- how weights are kept ------------------------------------------------------------------------------------------


def test_a_constant_weight_is_stored_once():
    """One weight takes the place of all, also where several projections share it; two weights do not."""
    for delay in (1.0, Uniform(0.5, 5.0)):
        (table,) = between(FixedProbability(0.5), 3.25, delay).tables
        assert table.weights.shape == (1,)
        assert len(table.targets) > 400
    net = Network()
    source, target = net.population("source", 30, Poisson(rate=1.0)), net.population("target", 40, IF())
    for weight, shape in ((0.5, (1,)), (0.5, (1,)), (1.0, (3600,))):
        net.project(source, target, AllToAll(), weight=weight, delay=1.0)
        (table,) = compile_network(net, dt=0.5).tables
        assert table.weights.shape == shape
    np.testing.assert_array_equal(np.unique(synapses(compile_network(net, dt=0.5))[:, 6], return_counts=True), [[0.5, 1.0], [2400, 1200]])


@pytest.mark.parametrize("parts", [1, 2])
def test_weights_are_rounded_to_the_nearest(parts):
    """What is stored is within half a quantum of what was asked for, on both sides of it."""
    weights = np.random.default_rng(4).uniform(-2.0, 2.0, 1200)
    program = between(AllToAll(), weights, 1.0, parts=parts)
    off = (synapses(program)[:, 6] - weights) / program.cells[1].ports[0].quantum
    assert 0.45 < np.abs(off).max() <= 0.5
    assert abs(off.mean()) < 0.05


def test_a_synapse_takes_four_bytes():
    """uint16 for the target and int16 for the weight, where the range of weights allows it."""
    (table,) = between(FixedProbability(0.5), Uniform(1.0, 2.0), 1.0).tables
    assert (table.targets.dtype, table.weights.dtype) == (np.uint16, np.int16)


# ---- distributions -------------------------------------------------------------------------------------------------


def many(weight, delay, *, dt=0.5):
    return synapses(between(FixedTotalNumber(20_000), weight, delay, sources=100, targets=100, dt=dt, seed=9))


WEIGHTS = {
    "uniform": (Uniform(-2.0, 3.0), stats.uniform(-2.0, 5.0)),
    "normal": (Normal(1.0, 0.5), stats.norm(1.0, 0.5)),
    "clipped normal": (ClippedNormal(1.0, 0.5, low=0.5, high=3.0), stats.truncnorm(-1.0, 4.0, 1.0, 0.5)),
    "log-normal": (LogNormal(0.5, 0.6), stats.lognorm(0.6, scale=np.exp(0.5))),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_distributed(kind):
    """Drawn weights follow their distribution, independent of source, target and delay."""
    weight, theory = WEIGHTS[kind]
    found = many(weight, Uniform(0.5, 5.0))
    assert len(found) == 20_000
    assert RARE < stats.kstest(found[:, 6], theory.cdf).pvalue < 1 - RARE / 10
    for other in (1, 4, 5):
        assert stats.spearmanr(found[:, 6], found[:, other]).pvalue > RARE


def in_steps(theory):
    """The chance of 1 to 60 steps: delays are rounded to the nearest, halves up."""
    steps = np.arange(1, 61)
    return theory.cdf((steps + 0.5) * 0.5) - theory.cdf((steps - 0.5) * 0.5)


DELAYS = {
    "uniform": (Uniform(0.5, 5.0), stats.uniform(0.5, 4.5)),
    "normal": (Normal(10.0, 1.0), stats.norm(10.0, 1.0)),
    "clipped normal": (ClippedNormal(1.5, 0.75, low=0.5), stats.truncnorm((0.5 - 1.5) / 0.75, np.inf, 1.5, 0.75)),
    "log-normal": (LogNormal(1.5, 0.3), stats.lognorm(0.3, scale=np.exp(1.5))),
}


@pytest.mark.parametrize("kind", DELAYS)
def test_delays_are_distributed(kind):
    """Drawn delays follow their distribution, rounded to steps."""
    delay, theory = DELAYS[kind]
    found = many(1.0, delay)[:, 5].astype(int)
    chance = in_steps(theory)
    expected, observed = chance * len(found), np.bincount(found, minlength=61)[1:61]
    assert observed.sum() == len(found)
    kept = expected >= 5
    assert kept.sum() >= 5
    merged = [np.append(x[kept], x[~kept].sum()) for x in (observed, expected)]
    merged = [x if expected[~kept].sum() >= 5 else np.append(x[:-2], x[-2:].sum()) for x in merged]
    assert stats.chisquare(merged[0], merged[1] * len(found) / merged[1].sum()).pvalue > RARE
    assert found.min() >= 1


def test_weights_do_not_depend_on_delays():
    """Weights, delays and pairs are drawn from streams of their own: changing one leaves the others."""
    plain, delayed = many(Uniform(1.0, 2.0), 1.0), many(Uniform(1.0, 2.0), Uniform(0.5, 5.0))
    for found in (plain, delayed):
        found[:, 5] = 0
    rows = [np.array(sorted(map(tuple, found))) for found in (plain, delayed)]
    np.testing.assert_array_equal(*rows)
