"""Trials that end before their time: at the step they should, with what was recorded until then."""

import numpy as np
import pytest

from spikesim.connectivity import Dense, OneToOne
from spikesim.engine import ENGINES
from spikesim.errors import DescriptionError, KindError, NameUnknownError
from spikesim.network import Network
from spikesim.neurons import IF, SigmaDelta
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, NoiseCurrent, Poisson, PoissonDrive, SpikeTrains
from spikesim.trials import Confidence, Silence

every_engine = pytest.mark.parametrize("engine", list(ENGINES))
ROWS = np.array([[0.0, 0.0, 0.0], [3.0, -1.0, 2.0], [25.0, 0.0, 0.0], [0.25, 0.0, -0.5]])


def settling(*, delay=0.0, late=()) -> Network:
    """Relays whose input comes in the first step, and a read-out of them."""
    net = Network()
    source = net.population("source", 3, SigmaDelta(function="identity"))
    hidden = net.population("hidden", 4, SigmaDelta(function="relu", quantum=0.5))
    out = net.population("out", 3, IF(v_threshold=np.inf))
    net.stimulate(source, DirectCurrent(np.zeros(3), stop=1.0))
    net.project(source, hidden, Dense(np.linspace(-1.0, 2.0, 12).reshape(3, 4)), delay=0.0)
    net.project(hidden, out, Dense(np.linspace(1.0, -0.5, 12).reshape(4, 3)), delay=delay)
    if late:
        net.project(net.population("late", 3, SpikeTrains([late[0]], [0])), source, OneToOne(), weight=2.0, delay=1.0)
    for population in (source, hidden):
        net.record(population)
        net.record(population, "counts")
    net.record(out, "v")
    return net


def simulation(net: Network, engine="cpu", threads=1) -> Simulation:
    return Simulation(net, dt=1.0, engine=engine, threads=threads, precision="float64")


def fired(recording: Recording, steps: int) -> np.ndarray:
    """Whether anything fired in each step."""
    times = np.concatenate([spikes.times for spikes in recording.spikes.values()])
    return np.isin(np.arange(1, steps + 1), np.rint(times))


def end_of(active: np.ndarray, silence: int) -> int:
    """The number of steps after which the last ``silence`` were silent for the first time, by trying all."""
    return next((n for n in range(silence, len(active) + 1) if not active[n - silence : n].any()), len(active))


def assert_cut(found: Recording, whole: Recording, steps: int) -> None:
    """``found`` is the first ``steps`` steps of ``whole``."""
    assert (found.start, found.stop, found.duration) == (0.0, steps, steps)
    for name, spikes in whole.spikes.items():
        kept = spikes.times <= steps
        for field in ("times", "ids", "sizes"):
            np.testing.assert_array_equal(getattr(found.spikes[name], field), getattr(spikes, field)[kept])
        counted = np.bincount(spikes.ids[kept], minlength=len(spikes.recorded))
        np.testing.assert_array_equal(found.counts[name].values, counted)
    np.testing.assert_array_equal(found.trace("out", "v").values, whole.trace("out", "v").values[:steps])


@every_engine
@pytest.mark.parametrize("silence", [1, 4])
@pytest.mark.parametrize("delay", [0.0, 3.0])
@pytest.mark.parametrize("late", [(), (9.0,)])
def test_silence_ends_a_trial(engine, silence, delay, late):
    """A trial ends after so many silent steps, and no sooner than spikes have arrived and input has come; what was computed is there."""
    made = simulation(settling(delay=delay, late=late), engine, 2 if engine == "cpu" else 1)
    found = made.trials(60.0, currents={"source": ROWS}, until=Silence(silence), progress=False)
    whole = made.trials(60.0, currents={"source": ROWS}, progress=False)
    for mine, full in zip(found, whole, strict=True):
        active = fired(full, 60)
        if late:
            active[: int(late[0])] = True
        steps = end_of(active, max(silence, int(max(delay, 1.0 if late else 0.0))))
        steps = max(steps, 2, int(late[0]) if late else 0)  # the current ends in the second step
        assert_cut(mine, full, steps)
        np.testing.assert_array_equal(mine.trace("out", "v").values[-1], full.trace("out", "v").values[-1])
    assert len({recording.stop for recording in found}) > 1 + (not late)


@every_engine
@pytest.mark.parametrize("every", [1, 5])
def test_confidence_ends_a_trial(engine, every):
    """A trial ends as soon as the mean input of one read-out leads the next by the margin; one that never does runs on."""
    net = Network()
    source, out = net.population("source", 3, IF(v_threshold=1.0)), net.population("out", 3, IF(v_threshold=np.inf))
    net.stimulate(source, DirectCurrent(np.zeros(3)))
    net.project(source, out, OneToOne(), weight=1.0, delay=1.0)
    net.record(source)
    net.record(source, "counts")
    net.record(out, "v")
    rows = np.array([[0.9, 0.1, 0.2], [0.45, 0.4, 0.1], [0.05, 0.35, 0.0], [0.3, 0.3, 0.3]])
    made = simulation(net, engine)
    found = made.trials(50.0, currents={"source": rows}, until=Confidence("out", margin=0.2, every=every), progress=False)
    for mine, full in zip(found, made.trials(50.0, currents={"source": rows}, progress=False), strict=True):
        v = np.sort(full.trace("out", "v").values, axis=1) / np.arange(1.0, 51.0)[:, None]
        sure = (v[:, -1] - v[:, -2] >= 0.2) & (np.arange(1, 51) % every == 0)
        assert_cut(mine, full, int(np.argmax(sure)) + 1 if sure.any() else 50)
    assert found[-1].stop == 50.0 > found[0].stop


def test_confidence_reads_sums():
    made = simulation(settling())
    (found,) = made.trials(9.0, currents={"source": ROWS[1:2]}, until=Confidence("source", margin=0.9), progress=False)
    assert found.stop == 1.0


def test_stops_leave_no_trace():
    """After a trial that ended early the next one starts anew."""
    made = simulation(settling())
    rows = ROWS[[2, 1, 2, 1]]
    found = made.trials(60.0, currents={"source": rows}, until=Silence(), progress=False)
    assert [recording.stop for recording in found[:2]] == [recording.stop for recording in found[2:]]


@pytest.mark.parametrize(("make", "error", "says"), [
    (lambda: Silence(0), DescriptionError, "Silence.steps: expected at least 1 step, got 0"),
    (lambda: Silence(1.5), KindError, "Silence.steps: expected a whole number of steps, got 1.5"),  # type: ignore[arg-type]
    (lambda: Silence(True), KindError, "Silence.steps"),
    (lambda: Confidence("out", 0.0), DescriptionError, "Confidence.margin: expected more than 0"),
    (lambda: Confidence("out", np.nan), DescriptionError, "Confidence.margin"),
    (lambda: Confidence("out", 1.0, every=0), DescriptionError, "Confidence.every"),
    (lambda: Confidence("uot", 1.0), NameUnknownError, "did you mean 'out'"),
    (lambda: Confidence(3, 1.0), NameUnknownError, "3"),  # type: ignore[arg-type]
    (lambda: "silence", KindError, "until must be Silence(...) or Confidence(...), got 'silence'"),
    (lambda: Silence, KindError, "until must be"),
])  # fmt: skip
def test_impossible_ends(make, error, says):
    made = simulation(settling(), "reference")
    with pytest.raises(error) as caught:
        made.trials(3.0, currents={"source": ROWS}, until=make(), progress=False)
    assert says in str(caught.value)


@pytest.mark.parametrize("what", ["source", "drive", "noise"])
def test_random_input_never_settles(what):
    net = settling()
    if what == "source":
        net.population("noise", 2, Poisson(rate=1.0))
    else:
        net.stimulate(net.populations["hidden"], NoiseCurrent(1.0, 1.0) if what == "noise" else PoissonDrive(1.0, 1.0, "input"))
    with pytest.raises(DescriptionError, match="never settles"):
        simulation(net, "reference").trials(3.0, currents={"source": ROWS}, until=Silence(), progress=False)


def test_one_neuron_cannot_be_read_out():
    net = settling()
    net.population("one", 1, IF())
    net.population("trains", 3, SpikeTrains([1.0], [0]))
    made = simulation(net, "reference")
    for name in ("one", "trains"):
        with pytest.raises(DescriptionError, match="cannot be read out"):
            made.trials(3.0, currents={"source": ROWS}, until=Confidence(name, 1.0), progress=False)


@every_engine
@pytest.mark.parametrize(("start", "stop"), [(0.0, np.inf), (2.0, 5.0), (0.0, 3.0), (4.0, np.inf)])
def test_direct_currents_start_and_stop(engine, start, stop):
    """The current flows in the steps between the two times; trials replace its amplitude, not its times."""
    net = Network()
    cells = net.population("cells", 3, IF(v_threshold=np.inf))
    net.stimulate(cells, DirectCurrent([1.0, 2.0, 3.0], start=start, stop=stop))
    net.record(cells, "v")
    made = simulation(net, engine)
    on = (np.arange(8.0) >= start) & (np.arange(8.0) < stop)
    found = made.run(8.0, progress=False).trace("cells", "v").values
    np.testing.assert_array_equal(found, np.outer(on.cumsum(), [1.0, 2.0, 3.0]))
    for row, trial in zip(ROWS, made.trials(8.0, currents={"cells": ROWS}, progress=False), strict=True):
        np.testing.assert_array_equal(trial.trace("cells", "v").values, np.outer(on.cumsum(), row))
