"""The simulation: a network on an engine, run, stopped, saved, resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.compiler import compile_network
from spikesim.compiler.grid import on_grid
from spikesim.description import checked_number, limits
from spikesim.engine import ENGINES, engine_class
from spikesim.engine.state import State, initial_state
from spikesim.errors import ChipOverflowError, DescriptionError, FileFormatError, KindError, SpikesimError, UnsupportedError, unknown_name
from spikesim.interrupt import Interrupt
from spikesim.machine import cores
from spikesim.network import Network
from spikesim.neurons.model import Neuron
from spikesim.progress import Progress
from spikesim.random import LARGEST_STEP
from spikesim.recorder import Recorder
from spikesim.recording import Recording
from spikesim.trials import Confidence, Silence, check_states, check_until, run_trial, trials_of

CHUNK_SECONDS = 0.1  # how long one call into an engine should take: the delay of Ctrl-C and of the progress bar
NEURONS_PER_THREAD = 2_000  # below this, threads wait for each other longer than they work
DURATION = limits("ms", at_least=0.0, varies=False)


class Simulation:
    """A compiled network and its state.

    network: the description, as it is now (later changes to it have no effect). dt: time step in ms. seed: 0 to
    2**64 - 1; the same seed gives the same spikes. engine: "cpu" or "reference". threads: for the cpu engine, by
    default as many as pay; the spikes do not depend on it, and threads that outnumber the cores take turns. precision: of the
    neurons' state, "float32" or "float64"; by default the first that the engine has, float32 on "cpu", unless a model of the network
    counts in whole numbers that only float64 holds. procedural: do not store the
    synapses of sparse projections, but draw those of a neuron again whenever it fires: the same spikes in less memory and
    more time. Engines that cannot do so ("reference") store them nevertheless. weight_bits: 16 stores weights in half the
    memory, with an error of at most 2**-15 of the largest weight of their receptor; by default those of a receptor take 32
    where one of them would lose more than 0.1 % otherwise.
    """

    def __init__(self, network: Network, *, dt: float, seed: int = 0, engine: str = "cpu", threads: int | None = None,
                 precision: str | None = None, procedural: bool = False, weight_bits: int | None = None,
                 progress: bool = True) -> None:  # fmt: skip
        if not isinstance(network, Network):
            raise KindError(f"Simulation: expected a Network, got {network!r}")
        if not isinstance(engine, str) or engine not in ENGINES:
            raise unknown_name("engine", engine, ENGINES, where="Simulation")
        kind = engine_class(engine)
        precision = _precision(precision, network, kind.precisions, engine)
        if not isinstance(procedural, bool):
            raise KindError(f"Simulation: procedural must be True or False, got {procedural!r}")
        self.network = network.copy()
        self.engine_name, self.precision, self.seed = engine, precision, seed
        self.procedural, self.weight_bits = procedural, weight_bits
        self.threads = _threads(threads, network, kind.most_parts, engine)
        with Progress.of_building(network, shown=progress and not procedural) as bar:
            self.program = compile_network(self.network, dt=dt, seed=seed, parts=self.threads,
                                           procedural=procedural and kind.procedural, weight_bits=weight_bits, tick=bar.tick)  # fmt: skip
            self.engine = kind(self.program, precision=precision)
        self.recording: Recording | None = None  # of the last run, also after an interruption
        self.recordings: list[Any] = []  # of the last trials, likewise

    @property
    def time(self) -> float:
        """Model time in ms."""
        return self.engine.step * self.program.dt

    def run(self, duration: float, *, progress: bool = True, to: str | Path | None = None) -> Recording:
        """Run on for ``duration`` ms and return what was recorded meanwhile.

        progress: show a bar, on a terminal. to: write the recording to this HDF5 file as it comes, for runs whose spikes
        do not fit into memory. Ctrl-C stops between two steps; `recording` then holds what there is, and the simulation
        can run on.
        """
        duration = checked_number(duration, "run: duration", DURATION)
        steps = int(on_grid(duration, self.program.dt, "run: duration"))
        if self.engine.step + steps > LARGEST_STEP:
            raise DescriptionError(f"run: {duration:g} ms would pass step {LARGEST_STEP}, where the random numbers end; use a longer dt")
        if to is None:
            return self._run(steps, progress, Recorder(self.network, self.program, self.engine.step))
        from spikesim.recording_file import RecordingFile

        file = RecordingFile(to, start=self.time, dt=self.program.dt)
        recorder = Recorder(self.network, self.program, self.engine.step, sink=file.append)
        try:
            file.declare(recorder)
            self._run(steps, progress, recorder)
        finally:  # also after Ctrl-C
            file.close(recorder.finish())
            self.recording = Recording.load(to)
        return self.recording

    def _run(self, steps: int, progress: bool, recorder: Recorder) -> Recording:
        chunk, end = 10, self.engine.step + steps
        with Interrupt() as interrupt, Progress.of_running(steps, self.program.dt, shown=progress) as bar:
            while self.engine.step < end and not interrupt.wanted:
                count = min(chunk, end - self.engine.step, self.engine.largest_chunk)
                started = time.perf_counter()
                segment = self.engine.advance(count)
                recorder.append(segment)
                bar.tick(count, int(segment.population_counts.sum()))
                pace = CHUNK_SECONDS / max(time.perf_counter() - started, 1e-6)
                chunk = max(1, min(int(count * pace), 10 * count))
            self.recording = recorder.finish()
        check_states(self.network, self.engine, self.program.dt)
        return self.recording

    def reset(self) -> None:
        """Return to time 0, without building anything anew."""
        self.engine.restore(initial_state(self.program))

    def trials(self, duration: float, *, currents: Mapping[str, Any] | None = None, rates: Mapping[str, Any] | None = None,
               seeds: Sequence[int] | None = None, until: Silence | Confidence | None = None,
               keep: Callable[[Recording], Any] | None = None, progress: bool = True) -> list[Any]:  # fmt: skip
        """Run ``duration`` ms from time 0 several times, each time with other inputs, side by side on all cores.

        currents: for each population name an array (trials, size) in pA, in place of the amplitude of the population's
        `DirectCurrent`, while it lasts. rates: for each name an array (trials, size) in Hz, in place of the rate of a population
        of `Poisson` sources. seeds: of the random numbers drawn in each trial; without them all trials see the same. until: end
        a trial earlier, by `spikesim.trials.Silence` or `Confidence`; its recording ends there. keep: a function of a trial's
        recording, called side by side as the trials end, that gives what is kept in place of it, where many recordings would not
        fit into memory. Connections, parameters and initial values are those of the simulation, whose own state is left as it
        is. Ctrl-C stops between two trials; `recordings` then holds those that are done. Raises `ChipOverflowError` for the first
        trial in which a neuron that must not (`LoihiLIF(overflow="strict")`) has left its range; `recordings` holds all trials then.
        """
        steps = int(on_grid(checked_number(duration, "trials: duration", DURATION), self.program.dt, "trials: duration"))
        check_until(self.program, until)
        if keep is not None and not callable(keep):
            raise KindError(f"trials: keep must be a function of a recording, got {keep!r}")
        trials = trials_of(self.program, currents=currents, rates=rates, seeds=seeds)
        program = self.program
        if program.layout.parts > 1:
            program = compile_network(
                self.network, dt=program.dt, seed=self.seed, procedural=bool(program.rows), weight_bits=self.weight_bits
            )
        workers = min(len(trials), cores()) if self.engine_name == "cpu" else 1
        results: dict[int, Any] = {}
        faults: dict[int, ChipOverflowError] = {}
        with Interrupt() as interrupt, Progress.of_trials(len(trials), shown=progress) as bar:
            waiting = iter(range(len(trials)))  # whoever is done takes the next one

            def work(engine: Any) -> None:
                for at in waiting:
                    if interrupt.wanted:
                        return
                    recording = run_trial(self.network, engine, steps, trials[at], until)
                    results[at] = recording if keep is None else keep(recording)
                    bar.tick(1)
                    try:
                        check_states(self.network, engine, program.dt)
                    except ChipOverflowError as error:
                        faults[at] = error

            try:
                with ThreadPoolExecutor(workers) as pool:
                    engines = [engine_class(self.engine_name)(program, precision=self.precision) for _ in range(workers)]
                    for done in [pool.submit(work, engine) for engine in engines]:
                        done.result()
            finally:
                self.recordings = [results[at] for at in sorted(results)]
        for at in sorted(faults):
            raise ChipOverflowError(f"trial {at}: {faults[at]}")
        return self.recordings

    def save(self, path: str | Path) -> None:
        """Write network, settings and state (spikes in flight included) to an HDF5 file."""
        from spikesim.storage import save

        state = self.engine.snapshot()
        save(path, "simulation", {
            "network": self.network.data(), "dt": self.program.dt, "seed": self.seed, "engine": self.engine_name,
            "threads": self.threads, "precision": self.precision, "procedural": self.procedural,
            "weight_bits": self.weight_bits, "state": vars(state),
        })  # fmt: skip

    @classmethod
    def load(cls, path: str | Path, *, engine: str | None = None, threads: int | None = None) -> Simulation:
        """Read a simulation and go on where it was; it may go on with another engine or number of threads.

        An engine that does not have the precision it was saved in goes on in its own.
        """
        from spikesim.storage import load

        data = load(path, "simulation")
        try:
            network = Network.from_data(data["network"], str(path))
            precision = data["precision"] if engine is None or data["precision"] in engine_class(engine).precisions else None
            made = cls(network, dt=data["dt"], seed=data["seed"], engine=data["engine"] if engine is None else engine,
                       threads=data["threads"] if threads is None and engine is None else threads, precision=precision,
                       procedural=data["procedural"], weight_bits=data["weight_bits"])  # fmt: skip
            made.engine.restore(_checked_state(State(**data["state"]), made.program))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, SpikesimError) and not isinstance(error, DescriptionError):
                raise
            raise FileFormatError(f"{path}: does not hold a valid simulation: {error}") from error
        return made


def _precision(precision: str | None, network: Network, known: tuple[str, ...], engine: str) -> str:
    if precision is not None and precision not in known:
        raise UnsupportedError(f"Simulation: engine {engine!r} computes in {' or '.join(known)}, not in {precision!r}")
    exact = [p.name for p in network.populations.values() if isinstance(p.model, Neuron) and p.model.EXACT]
    if exact and precision == "float32":
        raise UnsupportedError(f"Simulation: population {exact[0]!r} counts in numbers too large for float32; use precision='float64'")
    return precision or ("float64" if exact else known[0])


def _threads(threads: int | None, network: Network, most: int, engine: str) -> int:
    if threads is None:
        neurons = sum(len(p) for p in network.populations.values())
        return max(1, min(cores(), neurons // NEURONS_PER_THREAD, most))
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer):
        raise KindError(f"Simulation: threads must be a whole number, got {threads!r}")
    if threads < 1:
        raise DescriptionError(f"Simulation: expected at least 1 thread, got {threads}")
    if threads > most:
        raise UnsupportedError(f"Simulation: engine {engine!r} runs {most} thread{'s' if most > 1 else ''} at most, got {threads}")
    return int(threads)


def _checked_state(state: State, program: Any) -> State:
    """``state`` if it fits ``program``, else a ValueError."""
    shapes: Sequence = [cells.initial.shape for cells in program.cells]
    if [values.shape for values in state.values] != shapes or not all(values.dtype == np.float64 for values in state.values):
        raise ValueError("the state does not have the network's shape")
    if any(values[list(cells.still)].any() for cells, values in zip(program.cells, state.values, strict=True)):
        raise ValueError("a variable that the network keeps at 0 is not 0")
    steps, neurons = state.flight_steps, state.flight_neurons
    if not (steps.dtype == neurons.dtype == np.int64 and steps.shape == neurons.shape and steps.ndim == 1):
        raise ValueError("the spikes in flight are not two vectors of one length")
    recent = (steps >= state.step - program.longest_delay) & (steps < state.step)
    if not isinstance(state.step, int) or state.step < 0 or not recent.all() or not ((neurons >= 0) & (neurons < program.neurons)).all():
        raise ValueError("the spikes in flight are not those of the last steps")
    if not _are_sizes(state.flight_sizes, neurons, program):
        raise ValueError("the sizes of the spikes in flight are not those the neurons can send")
    if (np.diff(steps) < 0).any() or len(np.unique(steps * program.neurons + neurons)) != len(steps):
        raise ValueError("the spikes in flight are not in order, or occur twice")
    return state


def _are_sizes(sizes: np.ndarray, neurons: np.ndarray, program: Any) -> bool:
    """Whether the neurons can have sent spikes of these sizes; none at all stand for spikes that are not graded."""
    if sizes.dtype != np.int32 or sizes.ndim != 1 or len(sizes) not in (0, len(neurons)):
        return False
    owners = np.searchsorted([cells.start for cells in program.cells], neurons, side="right")[: len(sizes)] - 1
    graded = np.array([cells.graded for cells in program.cells])[owners]
    largest = np.array([cells.largest_spike for cells in program.cells])[owners]
    return bool(np.all(np.where(graded, (sizes != 0) & (np.abs(sizes.astype(np.int64)) <= largest), sizes == 1)))
