"""The sparse rules draw exactly the pairs they promise, with the right probabilities, however the targets are divided."""

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikesim.connectivity import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    Matrix,
    OneToOne,
    PairList,
    pairs,
)
from spikesim.connectivity.pairs import PairSource
from spikesim.random import PAIRS, stream

RARE = 1e-3  # chance of a false alarm of one statistical test, settled once for all by the fixed seeds


def source_of(rule, sources, targets, *, same=True, seed=1, index=0) -> PairSource:
    """``sources`` and ``targets`` are numbers of neurons, or their numbers in the population."""
    sources, targets = (np.arange(x) if isinstance(x, int) else np.asarray(x) for x in (sources, targets))
    return PairSource(rule, sources, targets, same_population=same, seed=seed, stream=stream(PAIRS, index))


def draw(drawn_from: PairSource, *cuts: int) -> np.ndarray:
    """Rows (number, source, target) of all pairs, drawn for the ranges of targets between ``cuts``."""
    edges = [0, *sorted(cuts), drawn_from.request.targets]
    rows = [np.stack([chunk.numbers, chunk.sources, chunk.targets], axis=1).copy()
            for first, last in pairwise(edges) for chunk in drawn_from.chunks(first, last)]  # fmt: skip
    return np.concatenate([*rows, np.empty((0, 3), np.int64)])


def by_number(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows[:, 0], kind="stable")]


def matrix(rows: np.ndarray, sources: int, targets: int) -> np.ndarray:
    """How many synapses each pair has."""
    counts = np.zeros((sources, targets), np.int64)
    np.add.at(counts, (rows[:, 1], rows[:, 2]), 1)
    return counts


def allowed(sources, targets) -> np.ndarray:
    """Which pairs are not autapses."""
    return np.asarray(sources)[:, None] != np.asarray(targets)[None, :]


def assert_distributed(values, pmf) -> None:
    """Chi-square of whole numbers against ``pmf``, neighbouring classes merged until five are expected in each."""
    edges = np.arange(values.max() + 2)
    expected, observed, classes = len(values) * pmf(edges), np.bincount(values, minlength=len(edges)), []
    expected[-1] += len(values) - expected.sum()
    for e, o in zip(expected, observed, strict=True):
        if classes and classes[-1][0] < 5:
            classes[-1] = (classes[-1][0] + e, classes[-1][1] + o)
        else:
            classes.append((e, o))
    if classes[-1][0] < 5:
        last = classes.pop()
        classes[-1] = (classes[-1][0] + last[0], classes[-1][1] + last[1])
    assert len(classes) > 2
    assert stats.chisquare([o for _, o in classes], [e for e, _ in classes]).pvalue > RARE


def assert_uniform(counts) -> None:
    counts = np.ravel(counts)
    assert counts.mean() >= 5
    assert 1 - RARE / 10 > stats.chisquare(counts).pvalue > RARE


# ---- exact ---------------------------------------------------------------------------------------------------------


def test_one_to_one():
    """Source k with target k."""
    rows = draw(source_of(OneToOne(), np.arange(0, 20, 2), np.arange(30, 40)))
    np.testing.assert_array_equal(rows, np.arange(10)[:, None].repeat(3, axis=1))


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("autapses", [True, False])
def test_all_to_all(autapses, same):
    """Every pair once; without autapses all but those of a neuron with itself, which two populations do not have."""
    sources, targets = np.arange(0, 30, 3), np.arange(4, 22)
    counts = matrix(draw(source_of(AllToAll(autapses=autapses), sources, targets, same=same)), 10, 18)
    np.testing.assert_array_equal(counts, 1 if autapses or not same else allowed(sources, targets))
    assert (counts == 0).sum() == (6 if same and not autapses else 0)


def test_pair_list():
    """The pairs given, in their order, doubles too."""
    given_sources, given_targets = [3, 0, 3, 3], [1, 1, 1, 0]
    rows = by_number(draw(source_of(PairList(given_sources, given_targets), 4, 2)))
    np.testing.assert_array_equal(rows, np.stack([np.arange(4), given_sources, given_targets], axis=1))


def test_matrix():
    """The nonzero entries."""
    weights = np.array([[0.0, 1.0, 0.0], [2.0, 0.0, -3.0]])
    rows = draw(source_of(Matrix(weights), 2, 3, same=False))
    np.testing.assert_array_equal(matrix(rows, 2, 3), weights != 0)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_fixed_probability_at_its_ends(p):
    """Probability 0 gives no synapse, 1 gives all."""
    assert len(draw(source_of(FixedProbability(p), 50, 40))) == p * 2000
    assert len(draw(source_of(FixedProbability(p, autapses=False), 50, 40))) == p * 1960


SIDES = {  # sources, targets, same population
    "two populations": (np.arange(13), np.arange(9), False),
    "one population": (np.arange(12), np.arange(12), True),
    "strided slices": (np.arange(1, 30, 2), np.arange(0, 30, 3), True),
    "apart": (np.arange(10), np.arange(10, 19), True),
}
FLAGS = [{"autapses": a, "multapses": m} for a, m in product([True, False], repeat=2)]


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("kind", [FixedIndegree, FixedOutdegree, FixedTotalNumber])
def test_fixed_numbers(kind, sides, flags):
    """Exact counts in every seed; autapses and multapses never where forbidden, and now and then where allowed."""
    sources, targets, same = SIDES[sides]
    possible = np.intersect1d(sources, targets).size > 0 and same
    number = 40 if kind is FixedTotalNumber else 5
    total = np.zeros((len(sources), len(targets)), np.int64)
    doubled = False
    for seed in range(60):
        counts = matrix(draw(source_of(kind(number, **flags), sources, targets, same=same, seed=seed)), *total.shape)
        if kind is FixedIndegree:
            assert (counts.sum(axis=0) == number).all()
        elif kind is FixedOutdegree:
            assert (counts.sum(axis=1) == number).all()
        else:
            assert counts.sum() == number
        doubled |= bool(counts.max() > 1)
        total += counts
    free = allowed(sources, targets) | (not same)
    assert doubled == flags["multapses"]
    assert (total[free] > 0).all()
    assert total[~free].sum() == 0 or flags["autapses"]
    assert not (possible and flags["autapses"]) or (total[~free] > 0).all()


@pytest.mark.parametrize("autapses", [True, False])
def test_everything_there_is(autapses):
    """Asked for as many distinct pairs as there are, the rules give each of them once."""
    for rule in (FixedIndegree(12 - (not autapses), autapses=autapses, multapses=False),
                 FixedOutdegree(12 - (not autapses), autapses=autapses, multapses=False),
                 FixedTotalNumber(144 - 12 * (not autapses), autapses=autapses, multapses=False)):  # fmt: skip
        np.testing.assert_array_equal(matrix(draw(source_of(rule, 12, 12)), 12, 12), autapses | allowed(range(12), range(12)))


@pytest.mark.parametrize(
    "rule", [FixedIndegree(0), FixedOutdegree(0), FixedTotalNumber(0), FixedTotalNumber(0, multapses=False), PairList([], [])]
)
def test_nothing(rule):
    """A rule may ask for no synapse at all."""
    assert len(draw(source_of(rule, 5, 5))) == 0


# ---- distributions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.004, 0.1, 0.5, 0.97])
def test_fixed_probability_is_binomial(p):
    """In- and outdegrees are binomial, the number of synapses within its spread, and neighbours independent."""
    n, m = 400, 500
    counts = matrix(draw(source_of(FixedProbability(p), n, m, same=False, seed=11)), n, m)
    assert counts.max() == 1
    assert_distributed(counts.sum(axis=0), stats.binom(n, p).pmf)
    assert_distributed(counts.sum(axis=1), stats.binom(m, p).pmf)
    assert RARE < stats.binomtest(int(counts.sum()), n * m, p).pvalue
    for both in (counts[1:] & counts[:-1], counts[:, 1:] & counts[:, :-1]):
        assert abs(both.sum() - both.size * p * p) < 5 * np.sqrt(both.size) * p


def test_fixed_probability_without_autapses_is_binomial():
    """One possible partner fewer."""
    counts = matrix(draw(source_of(FixedProbability(0.3, autapses=False), 500, 500, seed=12)), 500, 500)
    assert np.trace(counts) == 0
    assert_distributed(counts.sum(axis=0), stats.binom(499, 0.3).pmf)
    assert_distributed(counts.sum(axis=1), stats.binom(499, 0.3).pmf)


@pytest.mark.parametrize(("kind", "axis"), [(FixedIndegree, 1), (FixedOutdegree, 0)])
def test_fixed_degree_with_multapses_is_uniform(kind, axis):
    """Partners are drawn independently: uniform, their degrees binomial, the multiplicity of a pair too."""
    counts = matrix(draw(source_of(kind(30), 300, 300, same=False, seed=13)), 300, 300)
    assert_uniform(counts.sum(axis=axis))
    assert_distributed(counts.sum(axis=axis), stats.binom(9000, 1 / 300).pmf)
    assert_distributed(counts.ravel(), stats.binom(30, 1 / 300).pmf)


@pytest.mark.parametrize("autapses", [True, False])
@pytest.mark.parametrize("kind", [FixedIndegree, FixedOutdegree])
def test_fixed_degree_without_multapses_is_a_uniform_subset(kind, autapses):
    """Every subset of the possible partners is as likely as every other."""
    few, many, k = 6 + (not autapses), 12_000, 3
    ends = (few, many) if kind is FixedIndegree else (many, few)
    counts = matrix(draw(source_of(kind(k, autapses=autapses, multapses=False), *ends, seed=14)), *ends)
    rows = counts.T if kind is FixedIndegree else counts
    for own in [None] if autapses else range(few):
        mine = rows if own is None else np.delete(_rows_of(own, few, kind, k), own, axis=1)
        subsets = [sum(1 << i for i in chosen) for chosen in combinations(range(mine.shape[1]), k)]
        found = np.bincount(mine @ (1 << np.arange(mine.shape[1])), minlength=1 << mine.shape[1])
        assert found.sum() == found[subsets].sum() == len(mine)
        assert_uniform(found[subsets])


def _rows_of(own, few, kind, k):
    """The partners of neuron ``own``, without autapses, for many seeds."""
    rule, rows = kind(k, autapses=False, multapses=False), []
    for seed in range(400):
        counts = matrix(draw(source_of(rule, few, few, seed=seed)), few, few)
        rows.append(counts[:, own] if kind is FixedIndegree else counts[own])
    return np.array(rows)


def test_fixed_total_number_with_multapses_is_uniform():
    """Every pair is as likely in every draw; degrees are binomial."""
    counts = matrix(draw(source_of(FixedTotalNumber(40_000), 60, 40, same=False, seed=15)), 60, 40)
    assert_uniform(counts)
    many = matrix(draw(source_of(FixedTotalNumber(8000), 400, 500, same=False, seed=16)), 400, 500)
    assert_distributed(many.sum(axis=0), stats.binom(8000, 1 / 500).pmf)
    assert_distributed(many.sum(axis=1), stats.binom(8000, 1 / 400).pmf)


def test_fixed_total_number_without_autapses_is_uniform():
    """Every allowed pair is as likely."""
    counts = matrix(draw(source_of(FixedTotalNumber(40_000, autapses=False), 50, 50, seed=17)), 50, 50)
    assert np.trace(counts) == 0
    assert_uniform(counts[allowed(range(50), range(50))])


@pytest.mark.parametrize("autapses", [True, False])
def test_fixed_total_number_without_multapses_is_hypergeometric(autapses):
    """Distinct pairs: degrees over many seeds are hypergeometric, and every allowed pair is as likely."""
    n, m, number, seeds = 9, 9, 20, 3000
    rule = FixedTotalNumber(number, autapses=autapses, multapses=False)
    counts = np.array([matrix(draw(source_of(rule, n, m, seed=seed)), n, m) for seed in range(seeds)])
    free = allowed(range(n), range(m)) | autapses
    total = int(free.sum())
    for at in (0, 4, 8):
        assert_distributed(counts[:, at].sum(axis=1), stats.hypergeom(total, n - (not autapses), number).pmf)
        assert_distributed(counts[:, :, at].sum(axis=1), stats.hypergeom(total, n - (not autapses), number).pmf)
    cells = counts.sum(axis=0)[free]
    spread = seeds * number / total * (1 - number / total) * total / (total - 1)  # variance of sampling without repetition
    assert RARE < stats.chi2(total - 1).sf(((cells - cells.mean()) ** 2).sum() / spread) < 1 - RARE


def test_fixed_total_number_without_multapses_in_one_large_draw():
    """The same in one large matrix, where degrees are hypergeometric across neurons."""
    counts = matrix(draw(source_of(FixedTotalNumber(20_000, multapses=False), 300, 400, same=False, seed=18)), 300, 400)
    assert counts.max() == 1
    assert_distributed(counts.sum(axis=0), stats.hypergeom(120_000, 300, 20_000).pmf)
    assert_distributed(counts.sum(axis=1), stats.hypergeom(120_000, 400, 20_000).pmf)


def test_projections_and_seeds_are_independent():
    """The same rule in another projection, or with another seed, draws other pairs, as much alike as by chance."""
    first, other, reseeded = (matrix(draw(source_of(FixedProbability(0.2), 200, 200, seed=seed, index=index)), 200, 200)
                              for seed, index in ((1, 0), (1, 1), (2, 0)))  # fmt: skip
    for second in (other, reseeded):
        assert abs((first & second).sum() - 0.04 * 40_000) < 5 * np.sqrt(0.04 * 40_000)


# ---- divided -------------------------------------------------------------------------------------------------------


@st.composite
def problems(draw_from):
    """A rule that fits two slices of one or two populations."""
    same = draw_from(st.booleans())
    sides = [np.arange(draw_from(st.integers(0, 9)), draw_from(st.integers(10, 40)), draw_from(st.integers(1, 3))) for _ in range(2)]
    n, m = map(len, sides)
    flags = {"autapses": draw_from(st.booleans()), "multapses": draw_from(st.booleans())}
    selves = len(np.intersect1d(*sides))
    kind = draw_from(st.sampled_from(["all", "probability", "indegree", "outdegree", "total", "list", "one"]))
    if kind == "one":
        sides = [side[: min(n, m)] for side in sides]
    rule = {
        "all": AllToAll(autapses=flags["autapses"]),
        "probability": FixedProbability(draw_from(st.floats(0.0, 1.0)), autapses=flags["autapses"]),
        "indegree": FixedIndegree(draw_from(st.integers(0, n - 1)), **flags),
        "outdegree": FixedOutdegree(draw_from(st.integers(0, m - 1)), **flags),
        "total": FixedTotalNumber(draw_from(st.integers(0, max(n * m - selves, 0))), **flags),
        "list": PairList(np.arange(30) * 7 % n, np.arange(30) * 5 % m), "one": OneToOne(),
    }[kind]  # fmt: skip
    targets = len(sides[1])
    cuts = draw_from(st.lists(st.integers(0, targets), max_size=6))
    return rule, *sides, same, cuts, draw_from(st.integers(0, 2**64 - 1))


@settings(max_examples=150, deadline=None)
@given(problems())
def test_any_division_gives_the_same_synapses(problem):
    """Drawn for any ranges of targets, the union is the same set of numbered pairs; numbers are unique, counts as promised."""
    rule, sources, targets, same, cuts, seed = problem
    drawn_from = source_of(rule, sources, targets, same=same, seed=seed)
    whole, divided = by_number(draw(drawn_from)), by_number(draw(drawn_from, *cuts))
    np.testing.assert_array_equal(whole, divided)
    assert len(np.unique(whole[:, 0])) == len(whole)
    assert ((whole[:, 1:] >= 0) & (whole[:, 1:] < [len(sources), len(targets)])).all()
    selves = len(np.intersect1d(sources, targets)) if same else 0
    count = rule.synapse_count(len(sources), len(targets), selves)
    assert count is None or len(whole) == count
    if selves and not getattr(rule, "autapses", True):
        assert (sources[whole[:, 1]] != targets[whole[:, 2]]).all()
    if not getattr(rule, "multapses", True):
        assert len(np.unique(whole[:, 1:], axis=0)) == len(whole)


@pytest.mark.parametrize("rule", [
    OneToOne(), AllToAll(), AllToAll(autapses=False), FixedProbability(0.4), FixedIndegree(7), FixedIndegree(7, multapses=False),
    FixedOutdegree(7), FixedOutdegree(7, multapses=False), FixedTotalNumber(300), FixedTotalNumber(300, multapses=False),
    PairList(np.arange(300) % 30, np.arange(300) % 29),
])  # fmt: skip
def test_chunks_do_not_matter(rule, monkeypatch):
    """Drawn in small chunks or at once, the pairs and their order are the same."""
    whole = draw(source_of(rule, 30, 30))
    monkeypatch.setattr(pairs, "LEAST_CHUNK", 1)
    small = source_of(rule, 30, 30)
    assert small.longest <= 30
    np.testing.assert_array_equal(draw(small), whole)


def test_more_than_a_chunk():
    """More pairs than one chunk holds arrive whole."""
    counts = matrix(draw(source_of(AllToAll(), 600, 590, same=False)), 600, 590)
    assert counts.size > 5 * pairs.LEAST_CHUNK
    assert (counts == 1).all()
    assert len(draw(source_of(FixedIndegree(17), 20_000, 3000, same=False), 1000, 1001)) == 51_000


@pytest.mark.parametrize("rule", [AllToAll(), AllToAll(autapses=False), OneToOne(), FixedIndegree(3), FixedOutdegree(3),
                                  FixedTotalNumber(40), FixedTotalNumber(40, multapses=False), PairList([0, 1], [1, 0])])  # fmt: skip
def test_numbers_are_places_in_an_array(rule):
    """Where weights may be an array every number is a place in it; all-to-all counts pairs by rows, the rest has no gaps."""
    rows = by_number(draw(source_of(rule, 12, 12)))
    pairs_of_all = np.arange(144)[allowed(range(12), range(12)).ravel()]
    wanted = pairs_of_all if rule == AllToAll(autapses=False) else np.arange(math.prod(rule.array_shape(12, 12, 12)))
    np.testing.assert_array_equal(rows[:, 0], wanted)
    if isinstance(rule, AllToAll):
        assert math.prod(rule.array_shape(12, 12, 12)) == 144
        np.testing.assert_array_equal(rows[:, 0], rows[:, 1] * 12 + rows[:, 2])
