"""A recording says what happened, when, and how often, and complains when asked for what was not recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikesim.connectivity import OneToOne
from spikesim.distributions import Uniform
from spikesim.engine import ENGINES
from spikesim.errors import DescriptionError, NameUnknownError
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.recording import Counts, Rate, Recording, Spikes, Trace, recorded
from spikesim.simulation import Simulation
from spikesim.stimulus import Poisson, SpikeTrains

every_engine = pytest.mark.parametrize("engine", list(ENGINES))
STEPS, IDS = [7, 1, 1, 3, 20, 7, 2], [0, 3, 1, 2, 3, 3, 3]  # of spikes, in no order


def trains(*probes, dt=0.1) -> Network:
    """Four sources with known spikes; ``probes`` are the arguments of `Network.record`, a slice first."""
    net = Network()
    source = net.population("source", 4, SpikeTrains(np.array(STEPS) * dt, IDS))
    for where, *options in probes:
        net.record(source[where], options[0], every=options[1] if options[1:] else None)
    return net


def run(net, duration, *, engine="cpu", dt=0.1) -> Recording:
    return Simulation(net, dt=dt, engine=engine, precision="float64").run(duration)


# ---- what is recorded ----------------------------------------------------------------------------------------------


@every_engine
def test_spikes_are_stamped_with_the_end_of_their_step(engine):
    """A spike found in step n is stamped (n + 1) dt; spikes come in time order, those of one step by number."""
    spikes = run(trains((slice(None), "spikes")), 3.0, engine=engine).spikes["source"]
    order = np.lexsort((IDS, STEPS))
    np.testing.assert_array_equal(spikes.times, np.array(STEPS)[order] * 0.1)
    np.testing.assert_array_equal(spikes.ids, np.array(IDS)[order])
    np.testing.assert_array_equal(spikes.recorded, np.arange(4))
    assert (spikes.times.dtype, spikes.ids.dtype, len(spikes)) == (np.float64, np.int64, 7)


@every_engine
def test_first_spike_is_one_step_after_the_start(engine):
    """A neuron that reaches its threshold in the first step fires at dt, and a spike reaches others a delay later."""
    net = Network()
    first, second = net.population("first", 1, IF(i_e=1.0)), net.population("second", 1, IF())
    net.project(first, second, OneToOne(), weight=0.5, delay=3.0)
    net.record(first)
    net.record(second, "v")
    recording = run(net, 5.0, engine=engine, dt=1.0)
    np.testing.assert_array_equal(recording.spikes["first"].times, [1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(recording.trace("second", "v").values[:, 0], [0.0, 0.0, 0.0, 0.5, 0.0])


@every_engine
def test_a_second_run_goes_on_in_time(engine):
    """Times count from the start of the simulation; each recording holds its own run only."""
    made = Simulation(trains((slice(None), "spikes"), (slice(None), "counts")), dt=0.1, engine=engine)
    first, second = made.run(0.5), made.run(1.5)
    assert (first.start, first.stop, second.start, second.stop) == pytest.approx((0.0, 0.5, 0.5, 2.0))
    np.testing.assert_allclose(first.spikes["source"].times, [0.1, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(second.spikes["source"].times, [0.7, 0.7, 2.0])
    np.testing.assert_array_equal(first.counts["source"].values, [0, 1, 1, 2])
    np.testing.assert_array_equal(second.counts["source"].values, [1, 0, 0, 2])


@every_engine
@pytest.mark.parametrize(("start", "stop", "step"), [(0, 4, 1), (1, 4, 2), (3, 4, 1), (0, 2, 1)])
def test_probes_on_slices(start, stop, step, engine):
    """A probe on a slice sees its neurons only, under their numbers in the population."""
    ids = np.arange(start, stop, step)
    where = slice(start, stop, step)
    recording = run(trains((where, "spikes"), (where, "counts")), 3.0, engine=engine)
    wanted = sorted((s, i) for s, i in zip(STEPS, IDS, strict=True) if i in ids)
    spikes = recording.spikes["source"]
    assert list(zip(np.rint(spikes.times * 10), spikes.ids, strict=True)) == wanted
    np.testing.assert_array_equal(spikes.recorded, ids)
    np.testing.assert_array_equal(recording.counts["source"].ids, ids)
    np.testing.assert_array_equal(recording.counts["source"].values, np.bincount(IDS, minlength=4)[ids])


@every_engine
def test_counts(engine):
    """Counts are the numbers of recorded spikes, also where the spikes are not kept."""
    net = Network()
    population = net.population("cells", 20, Poisson(rate=np.linspace(0.0, 300.0, 20)))
    net.record(population, "counts")
    alone = run(net, 60.0, engine=engine)
    assert "cells" not in alone.spikes
    net.record(population, "spikes")
    both = run(net, 60.0, engine=engine)
    np.testing.assert_array_equal(both.counts["cells"].values, np.bincount(both.spikes["cells"].ids, minlength=20))
    np.testing.assert_array_equal(alone.counts["cells"].values, both.counts["cells"].values)
    assert alone.counts["cells"].values.sum() > 20
    assert alone.rate("cells") == both.rate("cells")


@every_engine
@pytest.mark.parametrize("every", [None, 1.0, 3.0, 7.0])
def test_traces_are_sampled_at_multiples(every, engine):
    """The k-th sample is the state at time k x every, counted from time 0 in all runs."""
    net = Network()
    cells = net.population("cells", 6, IF(i_e=np.arange(6) / 16, v_threshold=np.inf))
    net.record(cells[1:6:2], "v", every=every)
    made = Simulation(net, dt=1.0, engine=engine, precision="float64")
    traces = [made.run(duration).trace("cells", "v") for duration in (10.0, 1.0, 13.0)]
    interval = every or 1.0
    times = np.concatenate([trace.times for trace in traces])
    np.testing.assert_array_equal(times, interval * np.arange(1, 24 // interval + 1))
    for trace in traces:
        np.testing.assert_array_equal(trace.ids, [1, 3, 5])
        assert trace.values.shape == (len(trace.times), 3)
    np.testing.assert_array_equal(np.concatenate([trace.values for trace in traces]), times[:, None] * np.array([1, 3, 5]) / 16)
    assert [trace.times.max(initial=0.0) <= stop for trace, stop in zip(traces, (10.0, 11.0, 24.0), strict=True)] == [True] * 3


def test_traces_of_every_variable():
    """Receptor variables and the refractory time can be sampled under their names."""
    net = Network()
    cells = net.population("cells", 5, LIF(i_e=1000.0), initial={"exc": 80.0, "inh": Uniform(1.0, 2.0)})
    for variable in ("v", "refractory", "exc", "inh"):
        net.record(cells, variable)
    recording = run(net, 20.0)
    np.testing.assert_allclose(recording.trace("cells", "exc").values[:, 2], 80.0 * np.exp(-recording.trace("cells", "exc").times / 2.0))
    refractory = recording.trace("cells", "refractory").values
    assert (refractory.max(), refractory.min()) == (20.0, 0.0)
    assert (recording.trace("cells", "v").values[refractory > 0] == -70.0).all()
    assert len(np.unique(recording.trace("cells", "inh").values[0])) == 5


@every_engine
def test_rates(engine):
    """Bins of the population rate are stamped with their ends, in Hz for each neuron; an unfinished bin is left out."""
    recording = run(trains((slice(None), "rate", 0.3)), 2.0, engine=engine)
    rate = recording.rates["source"]
    per_bin = np.bincount((np.array(STEPS) - 1) // 3, minlength=6)[:6]
    np.testing.assert_allclose(rate.values, per_bin / (4 * 0.3e-3))
    np.testing.assert_allclose(rate.times, 0.3 * np.arange(1, 7))
    assert rate.bin == pytest.approx(0.3)
    assert recording.rate("source") == pytest.approx(rate.values.mean())


def test_rates_of_a_second_run():
    """The bins of each run start with the run."""
    net = Network()
    net.record(net.population("cells", 3, IF(i_e=1.0)), "rate", every=3.0)
    made = Simulation(net, dt=1.0)
    made.run(4.0)
    second = made.run(10.0).rates["cells"]
    np.testing.assert_allclose(second.times, [7.0, 10.0, 13.0])
    np.testing.assert_allclose(second.values, [1000.0] * 3)


# ---- what is computed from it --------------------------------------------------------------------------------------

TIMES = np.array([10.5, 11.0, 12.0, 13.0, 14.0, 16.0, 17.0, 20.0])
BY_HAND = Recording(
    10.0, 20.0, 0.5,
    spikes=recorded("spikes", {
        "a": Spikes(TIMES, np.array([4, 2, 4, 2, 4, 2, 2, 9]), np.array([2, 4, 7, 9])),  # 2: 11, 13, 16, 17; 4: 10.5, 12, 14; 9: 20
        "quiet": Spikes(np.empty(0), np.empty(0, np.int64), np.arange(3)),
    }),
    traces=recorded("traces", {("a", "v"): Trace(np.array([11.0]), np.array([2]), np.array([[-60.0]]))}),
    rates=recorded("rates", {"b": Rate(np.array([15.0, 20.0]), np.array([10.0, 30.0]), 5.0)}),
    counts=recorded("counts", {"a": Counts(np.arange(2), np.array([9, 9])), "c": Counts(np.array([0, 5]), np.array([3, 1]))}),
)  # fmt: skip


def test_rate_by_hand():
    """The mean rate is spikes by neurons and seconds: of recorded spikes, else of counts, else of the rate's bins."""
    assert BY_HAND.duration == 10.0
    assert BY_HAND.rate("a") == pytest.approx(8 / (4 * 0.010))
    assert BY_HAND.rate("quiet") == 0.0
    assert BY_HAND.rate("c") == pytest.approx(4 / (2 * 0.010))
    assert BY_HAND.rate("b") == pytest.approx(20.0)
    assert Recording(5.0, 5.0, 0.5, spikes=BY_HAND.spikes).rate("quiet") == 0.0


def test_intervals_by_hand():
    """Intervals are those between successive spikes of one neuron, for neurons with two spikes or more."""
    found = BY_HAND.intervals("a")
    assert [list(intervals) for intervals in found] == [[2.0, 3.0, 1.0], [1.5, 2.0]]
    assert BY_HAND.intervals("quiet") == []


def test_cv_isi_by_hand():
    """The coefficient of variation is that of each neuron's intervals, then the mean; not a number without intervals."""
    cvs = [np.std([2.0, 3.0, 1.0]) / 2.0, np.std([1.5, 2.0]) / 1.75]
    assert BY_HAND.cv_isi("a") == pytest.approx(np.mean(cvs))
    assert np.isnan(BY_HAND.cv_isi("quiet"))
    pairs = Spikes(np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.array([0, 0, 1, 1, 1]), np.arange(2))  # neuron 0 has one interval only
    assert Recording(0.0, 9.0, 0.5, spikes=recorded("spikes", {"a": pairs})).cv_isi("a") == pytest.approx(0.5 / 1.5)


def of_trains(trains, *, stop, dt=0.5) -> Recording:
    """A recording of one population "a" with the given spike times, a list for each neuron."""
    times = np.concatenate([np.asarray(train, float) for train in trains])
    ids = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.lexsort((ids, times))
    return Recording(0.0, stop, dt, spikes=recorded("spikes", {"a": Spikes(times[order], ids[order], np.arange(len(trains)))}))


def poisson_trains(neurons, rate, duration, *, seed=3, dt=0.5):
    """Independent spikes with probability rate x dt in each step, stamped with the end of the step."""
    fired = np.random.default_rng(seed).random((neurons, int(duration / dt))) < 1e-3 * rate * dt
    return [dt * (1 + np.flatnonzero(row)) for row in fired]


@given(st.floats(0.5, 50.0), st.integers(3, 30), st.integers(1, 5))
def test_regular_trains_do_not_vary(interval, spikes, neurons):
    """Equal intervals have a coefficient of variation of 0, whatever the interval."""
    trains = [interval * np.arange(1, spikes + 1) + start for start in range(neurons)]
    assert of_trains(trains, stop=3000.0).cv_isi("a") == pytest.approx(0.0, abs=1e-9)


def test_poisson_trains_vary_by_one():
    """Geometric intervals of mean m steps have a coefficient of variation of sqrt(1 - 1 / m), here 0.995."""
    trains = poisson_trains(50, 20.0, 50_000.0)
    assert of_trains(trains, stop=50_000.0).cv_isi("a") == pytest.approx(np.sqrt(1.0 - 0.01), abs=0.02)


def test_correlation_by_hand():
    """Counts 2 0 1 | 1 0 2 | 0 1 0 in three bins; a spike at the end of a bin belongs to it, one in the unfinished bin to none."""
    recording = of_trains([[0.5, 2.0, 5.0], [1.0, 4.5, 6.0], [2.5, 6.5], [1.5, 3.5, 5.5], []], stop=7.0)
    expected = np.corrcoef([[2, 0, 1], [1, 0, 2], [0, 1, 0]])[np.triu_indices(3, 1)]
    np.testing.assert_allclose(recording.correlations("a"), expected)  # the fourth fires once in each bin
    assert recording.correlation("a") == pytest.approx(expected.mean())
    np.testing.assert_allclose(recording.correlations("a", neurons=2), [])  # the first, and the fourth


@given(st.integers(2, 20), st.sampled_from([0.5, 2.0, 5.0, 7.3]), st.integers(0, 2**31))
def test_identical_trains_are_fully_correlated(neurons, bin, seed):
    """All coefficients are 1, for any bin; and their number is that of the pairs."""
    found = of_trains(poisson_trains(1, 50.0, 1000.0, seed=seed) * neurons, stop=1000.0).correlations("a", bin=bin)
    np.testing.assert_allclose(found, np.ones(neurons * (neurons - 1) // 2))


def test_alternating_trains_are_anticorrelated():
    """Two neurons that take turns, bin by bin."""
    recording = of_trains([np.arange(1.0, 100.0, 4.0), np.arange(3.0, 100.0, 4.0)], stop=100.0)
    assert recording.correlation("a", bin=2.0) == pytest.approx(-1.0)
    assert np.isnan(recording.correlation("a", bin=4.0))  # the counts are always 1


@pytest.mark.parametrize(("shared", "bin"), [(0.0, 2.0), (0.3, 2.0), (0.3, 10.0)])
def test_correlation_is_the_share_of_common_spikes(shared, bin):
    """Poisson trains that share a part of their spikes are correlated by that part, whatever the bin."""
    duration, rate = 40_000.0, 20.0
    common = poisson_trains(1, shared * rate, duration, seed=1)[0]
    trains = [np.union1d(common, own) for own in poisson_trains(30, (1.0 - shared) * rate, duration)]
    found = of_trains(trains, stop=duration).correlations("a", bin=bin, neurons=20)
    assert len(found) == 190
    assert found.mean() == pytest.approx(shared, abs=0.02)
    assert found.std() < 3.0 / np.sqrt(duration / bin)


def test_correlation_of_too_little():
    """Without two neurons that vary there is no coefficient; bins and numbers of neurons that make no sense are refused."""
    assert len(BY_HAND.correlations("quiet")) == 0
    assert np.isnan(BY_HAND.correlation("quiet"))
    assert np.isnan(BY_HAND.correlation("a", bin=6.0))  # one whole bin
    assert np.isnan(BY_HAND.correlation("a", bin=60.0))
    for options, said in (({"bin": 0.0}, "bin"), ({"bin": np.nan}, "bin"), ({"neurons": 1}, "neurons"), ({"neurons": 2.5}, "neurons"),
                          ({"neurons": True}, "neurons")):  # fmt: skip
        with pytest.raises(DescriptionError, match=said):
            BY_HAND.correlation("a", **options)


def test_psth_by_hand():
    """A spike stamped at the end of its step counts in the bin in which the step lies; rates are in Hz."""
    edges, rates = BY_HAND.psth("a", bin=2.0)
    np.testing.assert_allclose(edges, [10.0, 12.0, 14.0, 16.0, 18.0])
    np.testing.assert_allclose(rates, np.array([3, 2, 1, 1, 1]) / (4 * 0.002))
    edges, rates = BY_HAND.psth("a", bin=3.0)  # the last bin sticks out
    np.testing.assert_allclose(edges, [10.0, 13.0, 16.0, 19.0])
    np.testing.assert_allclose(rates, np.array([4, 2, 1, 1]) / (4 * 0.003))
    np.testing.assert_array_equal(BY_HAND.psth("quiet", bin=5.0)[1], [0.0, 0.0])
    assert BY_HAND.psth("a")[1].sum() * 4 * 0.001 == pytest.approx(8)
    for bin in (0.0, -1.0, np.nan):
        with pytest.raises(DescriptionError, match="bin"):
            BY_HAND.psth("a", bin=bin)


def test_psth_agrees_with_recorded_rates():
    """Binning the spikes afterwards gives what the engine binned."""
    net = Network()
    population = net.population("cells", 30, Poisson(rate=200.0))
    net.record(population, "spikes")
    net.record(population, "rate", every=0.7)
    made = Simulation(net, dt=0.1)
    made.run(3.3)
    recording = made.run(7.0)
    np.testing.assert_allclose(recording.psth("cells", bin=0.7)[1], recording.rates["cells"].values)


def test_to_pandas():
    """The table has all spikes of all populations, in time order."""
    pytest.importorskip("pandas")
    other = Spikes(np.array([1.0, 12.5]), np.array([0, 6]), np.arange(7))
    table = Recording(0.0, 20.0, 0.5, spikes=recorded("spikes", {"a": BY_HAND.spikes["a"], "b": other})).to_pandas()
    assert list(table.columns) == ["population", "time", "id"]
    np.testing.assert_array_equal(table["time"], np.sort([*TIMES, 1.0, 12.5]))
    assert table["population"].tolist() == ["b", "a", "a", "a", "b", "a", "a", "a", "a", "a"]
    assert table["id"].tolist() == [0, 4, 2, 4, 6, 2, 4, 2, 2, 9]
    empty = Recording(0.0, 1.0, 0.5).to_pandas()
    assert (list(empty.columns), len(empty)) == (["population", "time", "id"], 0)


# ---- what is not there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [
    lambda r: r.spikes["spam"], lambda r: r.trace("a", "w"), lambda r: r.traces["a", "w"], lambda r: r.trace("b", "v"),
    lambda r: r.rates["a"], lambda r: r.counts["b"], lambda r: r.rate("spam"), lambda r: r.intervals("b"),
    lambda r: r.cv_isi("c"), lambda r: r.psth("b"), lambda r: r.correlation("b"),
])  # fmt: skip
def test_what_is_missing_is_named(ask):
    """Asking for what was not recorded says so, with what there is; it is a KeyError as well."""
    with pytest.raises(NameUnknownError, match="known: ") as error:
        ask(BY_HAND)
    assert isinstance(error.value, KeyError)


def test_nearest_name_is_offered():
    """A misspelt name is answered with the right one."""
    with pytest.raises(NameUnknownError, match="did you mean 'quiet'"):
        BY_HAND.spikes["quite"]


def test_what_is_there_can_be_listed():
    """The kinds of recordings are mappings from names."""
    assert list(BY_HAND.spikes) == ["a", "quiet"]
    assert list(BY_HAND.traces) == [("a", "v")]
    assert (len(BY_HAND.rates), "b" in BY_HAND.rates, "a" in BY_HAND.rates) == (1, True, False)
    empty = Recording(0.0, 1.0, 0.1)
    assert [len(kind) for kind in (empty.spikes, empty.traces, empty.rates, empty.counts)] == [0, 0, 0, 0]


def test_silent_populations_are_recorded():
    """A population that was recorded and did not fire is there, empty, also after a run of no steps."""
    net = Network()
    cells = net.population("cells", 3, IF())
    for variable in ("spikes", "counts", "v"):
        net.record(cells, variable)
    net.record(cells, "rate", every=1.0)
    for duration in (5.0, 0.0):
        recording = run(net, duration, dt=1.0)
        assert (len(recording.spikes["cells"]), recording.spikes["cells"].ids.dtype) == (0, np.int64)
        assert recording.rate("cells") == 0.0
        assert recording.counts["cells"].values.tolist() == [0, 0, 0]
        assert recording.trace("cells", "v").values.shape == (int(duration), 3)
        assert recording.rates["cells"].values.tolist() == [0.0] * int(duration)
