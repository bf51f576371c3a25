"""A simulation runs on, stops, is saved and resumed, and is divided into runs, chunks and trials without a spike changing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from spikesim import simulation as simulation_module
from spikesim.connectivity import AllToAll, FixedIndegree, FixedProbability
from spikesim.distributions import Uniform
from spikesim.engine import ENGINES
from spikesim.engine.state import Segment
from spikesim.errors import DescriptionError, KindError, NameUnknownError, SpikesimError, UnsupportedError
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.recorder import Recorder
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, NoiseCurrent, Poisson, PoissonDrive, SampledCurrent, SpikeTrains, StepCurrent
from spikesim.synapses import Delta, ExponentialCurrent

ROOT = Path(__file__).resolve().parents[1]
DT = 0.1
RARE = 1e-3
every_engine = pytest.mark.parametrize("engine", list(ENGINES))
every_variant = pytest.mark.parametrize(("engine", "threads"), [("cpu", 1), ("cpu", 3), ("reference", 1)])


def network(*, probes=True) -> Network:
    """Long delays, noise that is held over several steps, a current that changes, drives and sources."""
    net = Network()
    receptors = {"exc": ExponentialCurrent(), "hit": Delta()}
    cells = net.population("cells", 40, LIF(receptors=receptors, t_ref=0.5, i_e=350.0), initial={"v": Uniform(-70.0, -55.0)})
    source = net.population("source", 10, Poisson(rate=200.0))
    net.project(source, cells, FixedIndegree(4), weight=200.0, delay=Uniform(0.1, 4.0), receptor="exc")
    net.project(cells, cells, FixedProbability(0.3), weight=1.0, delay=Uniform(0.5, 6.0), receptor="hit")
    net.stimulate(cells, NoiseCurrent(sd=300.0, interval=0.7))
    net.stimulate(cells, PoissonDrive(rate=1000.0, weight=50.0, receptor="exc"))
    net.stimulate(cells[::3], StepCurrent([3.0, 12.0], [300.0, -300.0]))
    if probes:
        net.record(cells)
        net.record(source)
        net.record(cells, "counts")
        net.record(cells[::7], "v", every=0.3)
        net.record(cells, "rate", every=1.0)
    return net


def arrays(recording: Recording) -> dict[str, np.ndarray]:
    """Everything recorded, by name."""
    kinds = {"spikes": recording.spikes, "traces": recording.traces, "counts": recording.counts, "rates": recording.rates}
    return {f"{kind} {name} {field}": np.asarray(value) for kind, entries in kinds.items() for name, entry in entries.items()
            for field, value in vars(entry).items()}  # fmt: skip


def assert_identical(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert (found[key].dtype, found[key].shape) == (value.dtype, value.shape), key
        assert found[key].tobytes() == value.tobytes(), key


FOLLOWING = ("times", "values", "sizes", "spikes cells ids", "spikes source ids")  # what a second run appends to


def joined(first: Recording, second: Recording) -> dict[str, np.ndarray]:
    """The arrays of two runs, one after the other; counts add up."""
    made, b = arrays(first), arrays(second)
    for key in made:
        if key.startswith("counts") and key.endswith("values"):
            made[key] = made[key] + b[key]
        elif key.endswith(FOLLOWING):
            made[key] = np.concatenate([made[key], b[key]])
    return made


def run_python(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run ``code`` in a new process, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **(options or {"env": environment()}))


def environment(**others: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | others


PREAMBLE = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("shared", {str(Path(__file__))!r})
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
from spikesim.simulation import Simulation
import numpy as np
"""


# ---- running on ----------------------------------------------------------------------------------------------------


@every_variant
def test_two_runs_are_one(engine, threads):
    """Running T twice records what running 2 T records."""
    twice, once = (Simulation(network(), dt=DT, seed=3, engine=engine, threads=threads) for _ in range(2))
    first = twice.run(9.0)
    whole = once.run(18.0)
    assert_identical(joined(first, twice.run(9.0)), arrays(whole))
    assert len(whole.spikes["cells"]) > 50
    assert twice.time == once.time == whole.stop == pytest.approx(18.0)


def test_a_run_of_nothing():
    """A run of 0 ms records nothing and changes nothing."""
    made, plain = (Simulation(network(), dt=DT) for _ in range(2))
    recording = made.run(0.0)
    assert (recording.start, recording.stop, len(recording.spikes["cells"])) == (0.0, 0.0, 0)
    assert_identical(arrays(made.run(5.0)), arrays(plain.run(5.0)))


@every_engine
@pytest.mark.parametrize("largest", [1, 3, 7])
def test_chunks_do_not_matter(engine, largest, monkeypatch):
    """However many steps the engine takes at once, the recording is the same."""
    made, plain = (Simulation(network(), dt=DT, seed=4, engine=engine) for _ in range(2))
    monkeypatch.setattr(made.engine, "largest_chunk", largest)
    assert_identical(arrays(made.run(10.0)), arrays(plain.run(10.0)))


def test_seeds():
    """The same seed gives the same spikes, another seed others: of the sources, the wiring, the noise, the initial values."""
    runs = {seed: [Simulation(network(), dt=DT, seed=seed).run(10.0) for _ in range(2)] for seed in (0, 1, 2**32, 2**64 - 1)}
    for first, second in runs.values():
        assert_identical(arrays(first), arrays(second))
    for name in ("spikes cells ids", "spikes source ids"):
        assert len({arrays(first)[name].tobytes() for first, _ in runs.values()}) == len(runs)
    programs = [Simulation(network(), dt=DT, seed=seed).program for seed in (0, 1)]
    assert not np.array_equal(programs[0].cells[0].initial, programs[1].cells[0].initial)
    assert not np.array_equal(programs[0].tables[0].segments, programs[1].tables[0].segments)


@every_variant
def test_probes_do_not_disturb(engine, threads):
    """Recording more changes no spike."""
    net = network(probes=False)
    net.record(net.populations["cells"])
    alone = Simulation(net, dt=DT, engine=engine, threads=threads).run(10.0)
    net.record(net.populations["source"][2:5])
    net.record(net.populations["cells"], "v")
    net.record(net.populations["cells"][::2], "exc", every=0.5)
    net.record(net.populations["cells"][3:9], "counts")
    net.record(net.populations["source"], "rate", every=0.2)
    observed = Simulation(net, dt=DT, engine=engine, threads=threads).run(10.0)
    for name in ("times", "ids"):
        np.testing.assert_array_equal(getattr(observed.spikes["cells"], name), getattr(alone.spikes["cells"], name))
    assert len(alone.spikes["cells"])


def test_network_may_change_afterwards():
    """A simulation keeps the network as it was."""
    net = network()
    made, plain = Simulation(net, dt=DT), Simulation(network(), dt=DT)
    net.population("late", 5, IF(i_e=1.0))
    net.project(net.populations["source"], net.populations["cells"], AllToAll(), weight=500.0, delay=0.1, receptor="hit")
    net.stimulate(net.populations["cells"], DirectCurrent(5000.0))
    net.record(net.populations["late"])
    net.record(net.populations["cells"], "exc")
    assert_identical(arrays(made.run(8.0)), arrays(plain.run(8.0)))
    assert made.network == network()


@every_variant
def test_reset(engine, threads):
    """After a reset everything is as at the beginning, also what was under way."""
    made = Simulation(network(), dt=DT, engine=engine, threads=threads)
    first = made.run(8.0)
    made.reset()
    assert made.time == 0.0
    assert len(made.engine.snapshot().flight_steps) == 0
    assert_identical(arrays(made.run(8.0)), arrays(first))


# ---- saved and resumed ---------------------------------------------------------------------------------------------


RESUME = """
path, out = sys.argv[1:]
for name, options in (("as saved", {}), ("cpu 1", {"engine": "cpu", "threads": 1}), ("cpu 4", {"threads": 4, "engine": "cpu"}),
                      ("reference", {"engine": "reference"})):
    made = Simulation.load(path, **options)
    np.savez(f"{out}/{name}.npz", time=made.time, flight=len(made.engine.snapshot().flight_steps), **shared.arrays(made.run(9.0)))
"""


@every_variant
def test_saved_and_resumed_in_a_new_process(engine, threads, tmp_path):
    """Saved with spikes in flight, loaded elsewhere, on any engine and number of threads, it goes on as if never stopped."""
    straight, stopped = (Simulation(network(), dt=DT, seed=5, engine=engine, threads=threads, precision="float64") for _ in range(2))
    straight.run(9.0)
    stopped.run(9.0)
    stopped.save(tmp_path / "state.h5")
    flight = len(stopped.engine.snapshot().flight_steps)
    done = run_python(RESUME, str(tmp_path / "state.h5"), str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wanted = arrays(straight.run(9.0))
    found = sorted(tmp_path.glob("*.npz"))
    assert len(found) == 4
    for path in found:
        with np.load(path) as file:
            loaded = dict(file)
        assert loaded.pop("time") == pytest.approx(9.0)
        assert loaded.pop("flight") == flight > 20
        assert_identical(loaded, wanted)


def test_spikes_in_flight_matter(tmp_path):
    """The state without its spikes in flight would go on differently, so the test above sees them."""
    made = Simulation(network(), dt=DT, seed=5)
    made.run(9.0)
    state, nothing = made.engine.snapshot(), np.empty(0, np.int64)
    whole = made.run(9.0)
    made.engine.restore(type(state)(state.step, state.values, nothing, nothing))
    assert made.run(9.0).spikes["cells"].times.tobytes() != whole.spikes["cells"].times.tobytes()


def test_float32_is_resumed_exactly(tmp_path):
    """Float32 keeps its precision and its bits through a file."""
    made = Simulation(network(), dt=DT, precision="float32", threads=2)
    made.run(7.0)
    made.save(tmp_path / "state.h5")
    loaded = Simulation.load(tmp_path / "state.h5", threads=3)
    assert (loaded.precision, loaded.threads) == ("float32", 3)
    assert_identical(arrays(loaded.run(7.0)), arrays(made.run(7.0)))


def test_load_keeps_or_takes_settings(tmp_path):
    """Without arguments the settings are those of the file; a wrong number of threads is an error, not ignored."""
    made = Simulation(network(), dt=DT, seed=2**64 - 1, threads=3)
    made.save(tmp_path / "state.h5")
    loaded = Simulation.load(tmp_path / "state.h5")
    assert (loaded.seed, loaded.threads, loaded.engine_name, loaded.program.dt) == (2**64 - 1, 3, "cpu", DT)
    with pytest.raises(SpikesimError):
        Simulation.load(tmp_path / "state.h5", threads=0)


@every_variant
def test_a_snapshot_can_be_taken_up_again(engine, threads):
    """Going back to an earlier state forgets what came after it."""
    made = Simulation(network(), dt=DT, engine=engine, threads=threads)
    made.run(5.0)
    state = made.engine.snapshot()
    first = made.run(9.0)
    made.engine.restore(state)
    assert_identical(arrays(made.run(9.0)), arrays(first))


# ---- stimuli and sources -------------------------------------------------------------------------------------------


def integrators(*stimuli, steps=12, **options) -> np.ndarray:
    """What six neurons that only integrate receive in each step from (slice, stimulus) pairs, (steps, 6)."""
    net = Network()
    cells = net.population("cells", 6, IF(v_threshold=np.inf))
    for where, stimulus in stimuli:
        net.stimulate(cells[where], stimulus)
    net.record(cells, "v")
    values = Simulation(net, dt=1.0, precision="float64", **options).run(float(steps)).trace("cells", "v").values
    return np.diff(values, axis=0, prepend=0.0)


@every_engine
def test_currents_by_hand(engine):
    """Each current flows from the step in which it begins to the one in which it changes or ends; currents add up."""
    all_neurons, even = slice(None), slice(0, 6, 2)
    wanted = np.full((12, 6), 0.5)
    wanted += 0.25 * np.arange(6)
    wanted[2:5, ::2] += 3.0
    wanted[5:, ::2] += [-1.0, -2.0, -3.0]
    wanted[:9] += np.array([8.0, 16.0, 4.0]).repeat(3)[:, None]
    wanted[:4, ::2] += np.arange(12.0).reshape(4, 3)
    found = integrators(
        (all_neurons, DirectCurrent(0.5)), (all_neurons, DirectCurrent(0.25 * np.arange(6))),
        (even, StepCurrent([2.0, 5.0], [[3.0, 3.0, 3.0], [-1.0, -2.0, -3.0]])), (all_neurons, SampledCurrent([8.0, 16.0, 4.0], 3.0)),
        (even, SampledCurrent(np.arange(12.0).reshape(4, 3), 1.0)), engine=engine,
    )  # fmt: skip
    np.testing.assert_array_equal(found, wanted)


def test_noise_is_held_and_normal():
    """Each neuron draws its own value at every interval; the values are normal with the given mean and deviation."""
    noise = integrators((slice(1, 6), NoiseCurrent(sd=2.0, interval=4.0, mean=3.0)), steps=4000)
    assert (noise[:, 0] == 0.0).all()
    blocks = noise[:, 1:].reshape(1000, 4, 5)
    np.testing.assert_allclose(blocks, blocks[:, :1].repeat(4, axis=1), atol=1e-9)
    assert stats.kstest(blocks[:, 0].ravel(), stats.norm(3.0, 2.0).cdf).pvalue > RARE
    assert np.abs(np.corrcoef(blocks[:, 0].T) - np.eye(5)).max() < 0.15


@pytest.mark.parametrize("rate", [40.0, 900.0, 30_000.0, 400_000.0])
def test_drive_is_poisson(rate):
    """The number of spikes in a step is Poisson distributed, independently for each neuron."""
    counts = integrators((slice(None), PoissonDrive(rate=rate, weight=0.5, receptor="input")), steps=4000) / 0.5
    whole = np.rint(counts).astype(int)
    np.testing.assert_allclose(counts, whole, atol=1e-6)
    theory = stats.poisson(rate * 1e-3)
    edges = np.arange(theory.ppf(5e-4), theory.ppf(1 - 5e-4) + 1)
    observed = [(whole < edges[0]).sum(), *((whole == k).sum() for k in edges), (whole > edges[-1]).sum()]
    chance = [theory.cdf(edges[0] - 1), *theory.pmf(edges), theory.sf(edges[-1])]
    kept = np.array(chance) > 0
    assert stats.chisquare(np.array(observed)[kept], np.array(chance)[kept] * whole.size).pvalue > RARE
    assert np.abs(np.corrcoef(whole.T) - np.eye(6)).max() < 0.08


def test_sources_are_independent():
    """Each neuron of a Poisson population fires with its own probability, whatever its neighbours do."""
    net = Network()
    chance = np.array([0.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.1, 0.9])
    net.record(net.population("source", 8, Poisson(rate=1000.0 * chance)))
    spikes = Simulation(net, dt=1.0).run(4000.0).spikes["source"]
    fired = np.zeros((4000, 8))
    fired[np.rint(spikes.times).astype(int) - 1, spikes.ids] = 1
    spread = np.sqrt(chance * (1 - chance) / 4000)
    assert (np.abs(fired.mean(axis=0) - chance) <= 4 * spread).all()
    assert np.abs(np.corrcoef(fired[:, 2:].T) - np.eye(6)).max() < 0.08


# ---- settings ------------------------------------------------------------------------------------------------------


def test_threads_by_default(monkeypatch):
    """Small networks get one thread, large ones as many as pay and as may be used; the reference engine one."""
    assert Simulation(network(), dt=DT).threads == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(simulation_module, "NEURONS_PER_THREAD", 12)  # of 50 neurons
    assert Simulation(network(), dt=DT).threads == 4
    assert Simulation(network(), dt=DT, engine="reference").threads == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5})
    assert Simulation(network(), dt=DT).threads == 2


@pytest.mark.parametrize(("options", "error"), [
    ({"threads": 0}, DescriptionError), ({"threads": 1.5}, KindError), ({"threads": True}, KindError),
    ({"threads": 10**6}, UnsupportedError),
    ({"engine": "reference", "threads": 2}, UnsupportedError), ({"engine": "reference", "precision": "float32"}, UnsupportedError),
    ({"precision": "float16"}, UnsupportedError), ({"engine": "gpu"}, NameUnknownError), ({"seed": -1}, DescriptionError),
    ({"seed": 2**64}, DescriptionError), ({"seed": 1.0}, KindError), ({"dt": 0.0}, DescriptionError), ({"dt": 0.03}, DescriptionError),
])  # fmt: skip
def test_impossible_settings(options, error):
    """What cannot be is refused when the simulation is made."""
    with pytest.raises(error):
        Simulation(network(), **({"dt": DT} | options))


@pytest.mark.parametrize("duration", [-1.0, 0.15, np.nan, np.inf, "1", None, 5e8])
def test_impossible_durations(duration):
    """A run's duration is a whole number of steps, not negative, not beyond the last random number."""
    made = Simulation(network(), dt=DT)
    with pytest.raises(SpikesimError):
        made.run(duration)
    assert made.time == 0.0


def test_float32_is_similar():
    """Single precision runs, differs in the bits, and fires at a similar rate."""
    runs = {p: Simulation(network(), dt=DT, precision=p).run(100.0) for p in ("float64", "float32")}
    traces = [arrays(run)["traces ('cells', 'v') values"] for run in runs.values()]
    assert not np.array_equal(traces[0], traces[1])
    np.testing.assert_allclose(traces[0][:10], traces[1][:10], rtol=1e-4)
    assert runs["float32"].rate("cells") == pytest.approx(runs["float64"].rate("cells"), rel=0.05)


# ---- trials --------------------------------------------------------------------------------------------------------


def with_current(row, *, probes=True) -> Network:
    net = network(probes=probes)
    other = net.population("other", (2, 4), IF(c_m=10.0))
    net.stimulate(net.populations["cells"], DirectCurrent(row))
    net.stimulate(other, DirectCurrent(np.arange(8.0)))
    net.record(other)
    return net


ROWS = np.random.default_rng(1).normal(0.0, 300.0, (5, 40))


@every_variant
def test_trials_are_separate_runs(engine, threads):
    """Each trial is what a simulation with that current records from time 0; the rest stays as described."""
    made = Simulation(with_current(np.zeros(40)), dt=DT, seed=6, engine=engine, threads=threads)
    trials = made.trials(8.0, currents={"cells": ROWS})
    assert len(trials) == len(ROWS)
    for row, trial in zip(ROWS, trials, strict=True):
        assert_identical(arrays(trial), arrays(Simulation(with_current(row), dt=DT, seed=6, engine=engine).run(8.0)))
    assert len({arrays(trial)["spikes cells times"].tobytes() for trial in trials}) == len(ROWS)
    assert all(len(trial.spikes["other"]) for trial in trials)


@every_variant
def test_trials_keep_what_is_asked_for(engine, threads):
    """A function of each recording, in the order of the trials."""
    made = Simulation(with_current(np.zeros(40)), dt=DT, engine=engine, threads=threads)
    whole = made.trials(8.0, currents={"cells": ROWS})
    found = made.trials(8.0, currents={"cells": ROWS}, keep=lambda recording: len(recording.spikes["cells"]))
    assert found == made.recordings == [len(trial.spikes["cells"]) for trial in whole]
    assert len(set(found)) > 1
    assert made.trials(8.0, currents={"cells": ROWS}, keep=lambda recording: None) == [None] * len(ROWS)


def test_trials_of_a_shaped_population():
    """Currents may come in the population's shape, and for several populations at once."""
    made = Simulation(with_current(np.zeros(40)), dt=DT)
    shaped = np.random.default_rng(2).uniform(5.0, 50.0, (5, 2, 4))
    both = made.trials(8.0, currents={"cells": ROWS, "other": shaped})
    flat = made.trials(8.0, currents={"other": shaped.reshape(5, 8), "cells": ROWS})
    for a, b in zip(both, flat, strict=True):
        assert_identical(arrays(a), arrays(b))
    assert len({trial.spikes["other"].times.tobytes() for trial in both}) == 5


@every_variant
def test_trials_leave_the_state_alone(engine, threads):
    """A simulation runs on after trials as if there had been none, with its own current."""
    made, plain = (Simulation(with_current(np.full(40, 50.0)), dt=DT, engine=engine, threads=threads) for _ in range(2))
    for each in (made, plain):
        each.run(6.0)
    made.trials(3.0, currents={"cells": ROWS})
    assert made.time == pytest.approx(6.0)
    assert_identical(arrays(made.run(6.0)), arrays(plain.run(6.0)))


@pytest.mark.parametrize("currents", [
    {}, {"nobody": ROWS}, {"source": np.zeros((2, 10))}, {"cells": ROWS[0]}, {"cells": ROWS[:, :39]}, {"cells": np.full((2, 40), np.nan)},
    {"cells": ROWS, "other": np.zeros((4, 8))}, {"cells": np.zeros((0, 40))},
])  # fmt: skip
def test_impossible_trials(currents):
    """Trials that do not fit the network, differ in number or are none are refused with an error of ours."""
    made = Simulation(with_current(np.zeros(40)), dt=DT)
    with pytest.raises(SpikesimError):
        made.trials(2.0, currents=currents)


def poisson_net(rate=100.0) -> Network:
    """Sources, and cells that they and a drive excite."""
    net = Network()
    source, cells = net.population("source", 10, Poisson(rate)), net.population("cells", 20, IF(v_threshold=5.0))
    net.project(source, cells, FixedProbability(0.5), weight=1.0, delay=1.0)
    net.stimulate(cells, PoissonDrive(rate=200.0, weight=1.0, receptor="input"))
    net.record(source)
    net.record(cells)
    return net


@every_variant
def test_trials_of_rates(engine, threads):
    """Each trial is what a simulation with those rates records."""
    rows = np.random.default_rng(3).uniform(0.0, 900.0, (3, 10))
    trials = Simulation(poisson_net(), dt=1.0, seed=6, engine=engine, threads=threads).trials(30.0, rates={"source": rows})
    for row, trial in zip(rows, trials, strict=True):
        assert_identical(arrays(trial), arrays(Simulation(poisson_net(row), dt=1.0, seed=6, engine=engine).run(30.0)))


@every_variant
def test_trials_of_seeds(engine, threads):
    """Seeds change what is drawn on the way, not the network; the simulation's own seed gives its own run, also afterwards."""
    made = Simulation(poisson_net(), dt=1.0, seed=6, engine=engine, threads=threads)
    first, again, own = made.trials(30.0, seeds=[1, 1, 6])
    assert_identical(arrays(first), arrays(again))
    assert_identical(arrays(own), arrays(made.run(30.0)))
    assert first.spikes["source"].times.tobytes() != own.spikes["source"].times.tobytes()
    assert first.spikes["cells"].times.tobytes() != own.spikes["cells"].times.tobytes()


@pytest.mark.parametrize("wrong", [
    {}, {"seeds": []}, {"seeds": 3}, {"seeds": "12"}, {"seeds": [[1], [2, 3]]}, {"seeds": [1.5]}, {"seeds": [-1]}, {"seeds": [2**64]},
    {"rates": {"cells": np.ones((2, 20))}},
    {"rates": {"source": np.ones((2, 9))}}, {"rates": {"source": -np.ones((2, 10))}}, {"rates": {"source": np.full((2, 10), 2000.0)}},
    {"rates": {"source": np.ones((2, 10))}, "seeds": [1, 2, 3]}, {"rates": [1.0]}, {"seeds": [1], "keep": 3},
])  # fmt: skip
def test_impossible_rates_and_seeds(wrong):
    """Rates and seeds that do not fit the network or each other are refused."""
    with pytest.raises(SpikesimError, match=r"trials|seed|Hz"):
        Simulation(poisson_net(), dt=1.0).trials(2.0, **wrong)


STOPPED_TRIALS = """
import os, signal
made = Simulation(shared.network(), dt=0.1)
seen = []
def keep(recording):
    seen.append(recording)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return recording
try:
    made.trials(200.0, seeds=range(100_000), keep=keep)
except KeyboardInterrupt:
    print(3 <= len(made.recordings) < 100_000, {r.stop for r in made.recordings})
"""


def test_interrupted_trials_keep_what_is_done():
    """Ctrl-C ends trials between two of them; those that are done are not lost."""
    done = run_python(STOPPED_TRIALS)
    assert (done.returncode, done.stdout.split()) == (0, ["True", "{200.0}"]), done.stderr


def test_trials_replace_the_direct_current_only():
    """A step current of the same population is neither taken for the direct current nor in its way."""
    net = Network()
    cells = net.population("cells", 3, IF(v_threshold=10.0))
    net.stimulate(cells, StepCurrent([2.0], np.ones((1, 3))))
    net.record(cells, "v")
    with pytest.raises(DescriptionError, match="DirectCurrent"):
        Simulation(net, dt=1.0).trials(4.0, currents={"cells": np.zeros((1, 3))})
    net.stimulate(cells, DirectCurrent(np.zeros(3)))
    (trial,) = Simulation(net, dt=1.0).trials(4.0, currents={"cells": [[0.0, 0.5, 1.0]]})
    np.testing.assert_array_equal(trial.trace("cells", "v").values[-1], [2.0, 4.0, 6.0])


# ---- processes -----------------------------------------------------------------------------------------------------


INTERRUPTED = """
import json, signal
made = Simulation(shared.endless(), dt=0.1, seed=7)
made.run(1.0)
before = signal.getsignal(signal.SIGINT)
print("running", flush=True)
found = {"raised": False}
try:
    made.run(10_000_000.0)
except KeyboardInterrupt:
    found["raised"] = True
steps = round(made.time / 0.1)
first = shared.arrays(made.recording)
found["handler"] = signal.getsignal(signal.SIGINT) is before
found["steps"] = steps
found["recorded"] = [round(made.recording.start / 0.1), round(made.recording.stop / 0.1), len(first["traces ('cells', 'v') times"])]
second = shared.arrays(made.run(5.0))
straight = Simulation(shared.endless(), dt=0.1, seed=7)
straight.run(1.0)
whole = shared.arrays(straight.run((steps - 10) / 10 + 5.0))
kept = [key for key in whole if key.endswith((" times", "spikes cells ids", "values"))]
found["equal"] = all(np.array_equal(np.concatenate([first[key], second[key]]), whole[key]) for key in kept)
found["spikes"] = len(whole["spikes cells times"])
print(json.dumps(found), flush=True)
"""


def endless() -> Network:
    """Few neurons that fire now and then."""
    net = Network()
    cells = net.population("cells", 8, LIF(receptors={"hit": Delta()}))
    net.stimulate(cells, PoissonDrive(rate=200.0, weight=6.0, receptor="hit"))
    net.project(cells, cells, AllToAll(), weight=1.0, delay=3.0)
    net.record(cells)
    net.record(cells[:1], "v")
    return net


def test_interrupted():
    """Ctrl-C raises KeyboardInterrupt between two steps: what there is is recorded, and the simulation runs on."""
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + INTERRUPTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            assert process.stdout.readline() == "running\n"
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")
    found = json.loads(output)
    assert found["raised"]
    assert found["handler"]
    assert found["recorded"] == [10, found["steps"], found["steps"] - 10]
    assert 10 < found["steps"] < 100_000_000
    assert found["spikes"] > 0
    assert found["equal"]


def test_interrupted_while_writing_to_a_file(tmp_path, monkeypatch):
    """Also where a run is written to a file, `recording` holds afterwards what there is: the file's contents."""
    made = Simulation(network(), dt=DT)
    advance = made.engine.advance

    def advance_and_interrupt(steps):
        if made.time > 9.0:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(steps)

    monkeypatch.setattr(made.engine, "advance", advance_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.run(100_000.0, to=tmp_path / "run.h5")
    assert 9.0 < made.time == made.recording.stop < 100_000.0
    assert_identical(arrays(made.recording), arrays(Simulation(network(), dt=DT).run(made.time)))


SILENT = """
made = Simulation(shared.network(), dt=0.1, threads=2)
made.run(5.0)
Simulation(shared.with_current(np.zeros(40)), dt=0.1).trials(2.0, currents={"cells": shared.ROWS})
"""


def test_silent_without_a_terminal():
    """Nothing is written to stdout or stderr where there is no terminal, though progress is on."""
    done = run_python(SILENT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


DIGEST = """
import hashlib
recording = Simulation(shared.network(), dt=0.1, seed=8).run(10.0)
print(hashlib.sha256(b"".join(a.tobytes() for a in shared.arrays(recording).values())).hexdigest())
"""


def test_processes_that_start_at_once(tmp_path):
    """Two processes that fill the same empty kernel cache both succeed, with the same result, and leave no debris."""
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + DIGEST]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment(SPIKESIM_CACHE=str(tmp_path / "new"))}
    processes = [subprocess.Popen(command, **options) for _ in range(2)]
    results = [(*process.communicate(timeout=100), process.returncode) for process in processes]
    assert all(errors == "" and status == 0 for _, errors, status in results), results
    assert results[0] == results[1]
    kept = [path.name for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert any(name.endswith(".py") for name in kept)
    assert any(name.endswith(".nbc") for name in kept)
    assert not [name for name in kept if name.endswith(".tmp")]
    again = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=options["env"])
    assert (again.stdout, again.stderr) == results[0][:2]


OVERFULL = """
from spikesim.engine import cpu
cpu.CAPACITY = 4  # of millions
net = shared.Network()
for name in "ab":
    net.record(net.population(name, 50, shared.IF(i_e=1.0)))
recording = Simulation(net, dt=1.0, threads=2).run(3.0)
for name in "ab":
    assert np.array_equal(recording.spikes[name].ids, np.tile(np.arange(50), 3)), name
"""


def test_more_recorded_neurons_than_capacity():
    """All neurons may fire in one step, however many are recorded; the spikes must not overrun their buffer."""
    done = run_python(OVERFULL)
    assert (done.returncode, done.stderr) == (0, "")


def test_many_short_segments():
    """Gathering a recording takes time in proportion to its number of pieces, not to its square."""
    net = Network()
    cells = net.population("cells", 1, SpikeTrains([1.0], [0]))
    net.record(cells)
    program = Simulation(net, dt=1.0).program
    recorder, nothing = Recorder(net, program, 0), np.empty(0, np.int64)
    for _ in range(6000):
        recorder.append(Segment(nothing, np.zeros((1, 1), np.int64), np.zeros(1, np.int64), ()))
    started = time.process_time()
    recorder.finish()
    assert time.process_time() - started < 0.4
