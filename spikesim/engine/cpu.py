"""The CPU engine: numba kernels, one thread for each part of the neurons."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from spikesim.barrier import BARRIER
from spikesim.connectivity.procedural import Rows
from spikesim.connectivity.tables import BLOCK, Table
from spikesim.engine.arrivals import deliver_again, draw_again
from spikesim.engine.delivery import DUE, FIELDS
from spikesim.engine.memory import Row, lines, rows_together
from spikesim.engine.plan import ALONG, CELLS, CONV, DENSE, DRIVE, FUTURE, HELD, NOISE, PHASES, PLAN, ROWS, SAMPLER, SWEPT, TABLE, WORDS
from spikesim.engine.procedural import KERNELS, VECTORS
from spikesim.engine.records import along_record, conv_record, dense_record
from spikesim.engine.state import Segment, State, initial_state, sample_steps
from spikesim.engine.stimuli import SCRATCH
from spikesim.engine.sweep import arguments, coefficient, drive_type, fired_type, load_sweep, repeats
from spikesim.engine.worker import work
from spikesim.machine import cores
from spikesim.program import MEMBRANE, Cells, Drive, Held, Noise, Program, Sampler

WINDOW = 5  # steps for which a visit to a spike's synapses delivers at once, where there are several delays
LEAD = 4  # steps for which Poisson drive is kept that threads draw ahead
CAPACITY = 1 << 25  # spikes, and samples, that one call can record (at least a step's); they take memory when they occur
LONGEST = 10_000  # steps of one call, whose spikes a neuron's count holds
TOGETHER = 8  # steps that a stage goes through at once, where there are only blocks without delay,
KEPT = 1 << 22  # if that keeps no more spikes


class Cpu:
    """Executes a program with one thread for each of its parts.

    precision: dtype of the neurons' state, "float32" or "float64".
    """

    precisions = ("float32", "float64")
    most_parts = 1024
    procedural = True

    def __init__(self, program: Program, *, precision: str = "float32") -> None:
        self.program = program
        self.precision = precision
        self.workers = min(self.parts, cores())
        self.kept: list[np.ndarray] = []  # arrays that the plan knows only by address
        recorded = sum(c.size for c, wanted in zip(program.cells, program.spike_cells, strict=True) if wanted)
        sampled = sum(len(s.ids) / s.interval for s in program.samplers)
        self.largest_chunk = max(1, min(LONGEST, CAPACITY // max(recorded, 1), int(CAPACITY / max(sampled, 1.0))))
        self._allocate()
        self.plan = self._plan()
        self.types = np.zeros(1, program.accumulator)[0], np.zeros(1, precision)[0], True if program.rows else None
        self.running = 0.0  # s, in the time loop
        self.pool = ThreadPoolExecutor(self.workers) if self.workers > 1 else None
        self.restore(initial_state(program))

    def _allocate(self) -> None:
        """The arrays that the threads work on, in the order of `spikesim.engine.plan.PLAN`."""
        program, precision = self.program, self.precision
        bounds = program.layout.bounds
        rows, self.memory = rows_together([bounds[:, c.index] for c in program.cells for at in _moving(c)], precision)
        moving = iter(rows)
        self.values = [[Row(bounds[:, c.index], precision) if at in c.still else next(moving) for at in range(len(c.initial))]
                       for c in program.cells]  # fmt: skip
        for c in program.cells:
            self._write(c, c.initial)
        self.initial = [each.copy() for each in self.memory]  # as trials begin with it again and again
        self.injected = {c.index: Row(bounds[:, c.index], precision) for c in program.cells if c.injected}
        self.fired = [Row(bounds[:, c.index], fired_type(c)) for c in program.cells]
        self.limits = [c.limits.copy() for c in program.cells]
        self.held = [np.array(h.values, order="C") for h in program.held]
        self.samples = [np.empty((self.largest_chunk // s.interval + 1, len(s.ids))) for s in program.samplers]
        self.window = WINDOW if any(len(t.delays) > 1 for t in program.tables) else 1
        self.lead = LEAD if program.drives and self.workers > 1 else 1
        driven = {(d.cells, d.port): drive_type(program.cells[d.cells].ports[d.port], precision) for d in program.drives}
        self.drives = {at: [Row(bounds[:, at[0]], dtype) for _ in range(self.lead)] for at, dtype in driven.items()}
        self.inputs = lines(self.window, program.layout.total + BLOCK, program.accumulator.__name__)
        self.barrier = lines(BARRIER, 1, "int64")
        self.claims = lines(self.parts, 1 + self.lead, "int64")
        self.scratch = lines(self.parts, SCRATCH, "uint8")
        self.ticks = lines(self.workers, WORDS, "int64")
        self.due = lines(self.parts, DUE * FIELDS, "int64")
        apart = program.longest_delay or program.tables or program.rows or program.drives
        self.together = 1 if apart else max(1, min(TOGETHER, KEPT // program.neurons))
        ring = program.longest_delay + self.together
        regions = [program.layout.region(part) for part in range(self.parts)] if program.rows else []
        self.futures = [lines(1, ring * (last - first), "int64") for first, last in regions]
        self.history = np.empty((ring, program.neurons), np.int32)
        self.sizes = np.empty(self.history.shape if program.graded else (ring, 0), np.int32)  # of the spikes in the history
        self.history_counts = lines(self.parts * ring, -(-len(program.cells) // 16) * 16, "int32").reshape(self.parts, ring, -1)
        recorded = np.diff(bounds, axis=0)[:, list(program.spike_cells)].sum(axis=1)
        self.records = [np.empty(int(size) * self.largest_chunk, np.int64) for size in recorded]
        self.record_sizes = [np.empty(len(record) if program.graded else 0, np.int32) for record in self.records]
        self.recorded = lines(self.parts, WORDS, "int64")
        self.population_counts = np.zeros((self.parts, self.largest_chunk, len(program.cells)), np.int64)
        self.neuron_counts = np.zeros(program.neurons, np.int16)  # of the steps of one call

    @property
    def parts(self) -> int:
        return self.program.layout.parts

    def restore(self, state: State) -> None:
        """Continue from ``state``."""
        self.step = state.step
        if all(given is c.initial for c, given in zip(self.program.cells, state.values, strict=True)):
            for memory, initial in zip(self.memory, self.initial, strict=True):
                memory[:] = initial
        else:
            for c, given in zip(self.program.cells, state.values, strict=True):
                self._write(c, given)
        self.history_counts[:] = 0
        if len(state.flight_steps):
            self._write_history(state)
        for part, future in enumerate(self.futures):
            future[:] = 0
            draw_again(self.plan, part, self.step)
        if self.window > 1 or self.futures:  # else every step leaves zeros
            self.inputs[:] = 0
        for part in range(self.parts if self.step % self.window else 0):
            deliver_again(self.plan, self.types[0], part, self.step)

    def _write(self, c: Cells, values: np.ndarray) -> None:
        for at in _moving(c):
            self.values[c.index][at].write(values[at])

    def _write_history(self, state: State) -> None:
        """Write down the spikes that are under way."""
        bounds = self.program.layout.bounds
        sizes = state.flight_sizes if len(state.flight_sizes) else np.ones(len(state.flight_steps), np.int32)
        for cells in self.program.cells:
            inside = (state.flight_neurons >= cells.start) & (state.flight_neurons < cells.start + cells.size)
            for step, neuron, size in zip(
                state.flight_steps[inside], state.flight_neurons[inside] - cells.start, sizes[inside], strict=True
            ):
                slot, part = step % len(self.history), int(np.searchsorted(bounds[:, cells.index], neuron, side="right")) - 1
                count = self.history_counts[part, slot, cells.index]
                place = slot, cells.start + bounds[part, cells.index] + count
                self.history[place] = neuron
                self.history_counts[part, slot, cells.index] = count + 1
                if self.program.graded:
                    self.sizes[place] = size

    def snapshot(self) -> State:
        """The state after the steps so far."""
        steps, neurons, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        for step in range(max(0, self.step - self.program.longest_delay), self.step):
            slot = step % len(self.history)
            for cells in self.program.cells:
                for part in range(self.parts):
                    count, first = self.history_counts[part, slot, cells.index], cells.start + self.program.layout.bounds[part, cells.index]
                    neurons.append(self.history[slot, first : first + count] + np.int64(cells.start))
                    steps.append(np.full(count, step, np.int64))
                    if self.program.graded:
                        sizes.append(self.sizes[slot, first : first + count] if cells.graded else np.ones(count, np.int32))
        values = tuple(self._values(c) for c in self.program.cells)
        return State(self.step, values, np.concatenate(steps), np.concatenate(neurons), np.concatenate(sizes))

    def read(self, cells: int, variable: int) -> np.ndarray:
        """A state variable of a population, (size,)."""
        return self.values[cells][variable].read()

    def _values(self, c: Cells) -> np.ndarray:
        return np.array([row.read() for row in self.values[c.index]], np.float64).reshape(c.initial.shape)

    def time_phases(self) -> None:
        """From now on, count the time that each phase of a step takes."""
        self.plan["timed"] = 1
        self.ticks[:] = 0
        self.running = 0.0

    def phases(self) -> dict[str, float]:
        """The wall time (s) of each phase since `time_phases`, the mean over the threads."""
        shares = self.ticks[:, : len(PHASES)].sum(axis=0) / max(1, self.ticks.sum())
        return dict(zip(PHASES, (self.running * shares).tolist(), strict=True))

    def hold(self, index: int, values: np.ndarray) -> None:
        """Replace the values of a held current, float64 (changes, 1 or neurons)."""
        self.held[index][:] = values

    def set_limits(self, index: int, limits: np.ndarray) -> None:
        """Replace the limits of a Poisson population, uint64 (size,)."""
        self.limits[index][:] = limits

    def reseed(self, seed: int) -> None:
        """Draw all random numbers from now on from another seed."""
        self.plan["seed"] = seed

    def advance(self, steps: int) -> Segment:
        """Run ``steps`` steps, at most ``largest_chunk``."""
        assert 0 <= steps <= self.largest_chunk, "the recording buffers hold no more"
        first = self.step
        self.recorded[:] = 0
        self.neuron_counts[:] = 0
        self.barrier[:] = 0
        self.claims[:] = first
        started = time.perf_counter()
        if self.pool is None:
            work(self.plan, *self.types, 0, first, steps)
        else:
            for done in [self.pool.submit(work, self.plan, *self.types, worker, first, steps) for worker in range(self.workers)]:
                done.result()
        self.running += time.perf_counter() - started
        self.step += steps
        return self._segment(first, steps)

    def _segment(self, first: int, steps: int) -> Segment:
        counts = self.recorded[:, 0]
        found = np.concatenate([record[:count] for record, count in zip(self.records, counts, strict=True)])
        sizes = np.concatenate([record[:count] for record, count in zip(self.record_sizes, counts, strict=True)])
        if len(sizes):
            order = np.argsort(found, kind="stable")
            found, sizes = found[order], sizes[order]
        else:
            found.sort(kind="stable")  # runs that are in order already
        samples = tuple(out[: len(sample_steps(s.interval, first, steps))].copy()
                        for out, s in zip(self.samples, self.program.samplers, strict=True))  # fmt: skip
        return Segment(found, self.population_counts[:, :steps].sum(axis=0), self.neuron_counts.copy(), samples, sizes)

    def _address(self, array: np.ndarray) -> int:
        self.kept.append(array)
        return array.ctypes.data

    def _plan(self) -> np.ndarray:
        program = self.program
        fields = self._shared() | {
            **self._records("cells", CELLS, [self._cells(c) for c in program.cells]),
            **self._records("tables", TABLE, [self._table(t) for t in program.tables if not program.cells[t.source].graded]),
            **self._records("graded", TABLE, [self._table(t) for t in program.tables if program.cells[t.source].graded]),
            **self._records("rows", ROWS, [self._rows(r) for r in program.rows]),
            **self._records("futures", FUTURE, [self._future(part) for part in range(len(self.futures))]),
            **self._records("dense", DENSE, [dense_record(b, self._address) for b in program.dense]),
            **self._records("conv", CONV, [conv_record(b, self._address) for b in program.conv]),
            **self._records("along", ALONG, [along_record(b, self._address) for b in program.along]),
            **self._records("held", HELD, [self._held(h, v) for h, v in zip(program.held, self.held, strict=True)]),
            **self._records("noise", NOISE, [_noise(n) for n in program.noise]),
            **self._records("drives", DRIVE, [self._drive(d) for d in program.drives]),
            **self._records("samplers", SAMPLER, [self._sampler(s, out) for s, out in zip(program.samplers, self.samples, strict=True)]),
        }
        plan = np.zeros(1, PLAN)
        for name, value in fields.items():
            plan[name] = value
        return plan

    def _records(self, name: str, kind: np.dtype, rows: list[dict]) -> dict[str, int]:
        """Records of ``kind`` from one mapping each, as the fields ``name`` (their number) and ``name_at`` of a plan."""
        records = np.zeros(len(rows), kind)
        for record, row in zip(records, rows, strict=True):
            for key, value in row.items():
                record[key] = value
        return {name: len(rows), f"{name}_at": self._address(records)}

    def _shared(self) -> dict[str, int]:
        """Sizes, and the addresses of the arrays that all threads share."""
        program, layout = self.program, self.program.layout
        arrays = {
            "bounds": layout.bounds, "slots": layout.slots, "inputs": self.inputs, "barrier": self.barrier,
            "claims": self.claims,
            "scratch": self.scratch, "due": self.due, "ticks": self.ticks, "history": self.history, "history_counts": self.history_counts,
            "records": np.array([self._address(record) for record in self.records]), "recorded": self.recorded,
            "record_sizes": np.array([self._address(record) for record in self.record_sizes]),
            "population_counts": self.population_counts, "neuron_counts": self.neuron_counts,
        }  # fmt: skip
        return {f"{name}_at": self._address(array) for name, array in arrays.items()} | {
            "seed": program.seed, "stages": program.stages, "together": self.together, "threads": self.parts, "workers": self.workers,
            "ring": len(self.history), "history_width": self.history_counts.shape[2], "neurons": program.neurons,
            "populations": len(program.cells), "ports": layout.slots.shape[2], "input_size": self.inputs.itemsize,
            "input_stride": self.inputs.strides[0], "window": self.window, "lead": self.lead, "sweeps": math.lcm(self.window, self.lead),
            "claim": self.claims.strides[0],
            "chunk": self.largest_chunk, "sizes_at": self._address(self.sizes) if program.graded else 0,
        }  # fmt: skip

    def _cells(self, c: Cells) -> dict[str, int]:
        row = {"kind": c.kind, "stage": c.stage, "start": c.start, "graded": c.graded, "recorded": self.program.spike_cells[c.index],
               "counted": self.program.count_cells[c.index], "limits_at": self._address(self.limits[c.index]), "stream": c.stream,
               "train_steps_at": self._address(c.train_steps), "train_ids_at": self._address(c.train_ids),
               "train_sizes_at": self._address(c.train_sizes), "train_length": len(c.train_steps),
               "injected_at": self.injected[c.index].addresses.ctypes.data if c.injected else 0,
               "fired_at": self.fired[c.index].addresses.ctypes.data}  # fmt: skip
        if c.kind == MEMBRANE:
            row["sweep"] = load_sweep(c, self.precision, self.program.accumulator.__name__)
            row["constants_at"] = self._address(np.array([coefficient(c, name) for name in arguments(c)[1]], np.float64))
            row["rows_at"] = self._address(self._sweep_rows(c))
        return row

    def _sweep_rows(self, c: Cells) -> np.ndarray:
        """The addresses of the addresses of the arrays over which sweeps of a population run, int64 (steps, parts)."""
        varying = {name: self._address(self._coefficients(coefficient(c, name))) for name in arguments(c)[2]}  # type: ignore[arg-type]
        steps = range(math.lcm(self.window, self.lead))
        return np.array([[self._address(self._sweep_row(c, step, part, varying)) for part in range(self.parts)] for step in steps])

    def _coefficients(self, values: np.ndarray) -> np.ndarray:
        return (values[: 2 * SWEPT] if repeats(values) else values).astype(self.precision)

    def _sweep_row(self, c: Cells, step: int, part: int, varying: dict[str, int]) -> np.ndarray:
        """The addresses, as of neuron 0, of the arrays over which a part's sweep runs in a step."""
        inputs = self.inputs[step % self.window]
        slots = self.program.layout.slots[part, c.index] - self.program.layout.bounds[part, c.index]
        found = varying | {f"state{at}": row.addresses[part] for at, row in enumerate(self.values[c.index])}
        found |= {f"drive{port}": rows[step % self.lead].addresses[part] for (cells, port), rows in self.drives.items() if cells == c.index}
        found |= {f"input{port}": inputs.ctypes.data + inputs.itemsize * int(slots[port]) for port in range(len(c.ports))}
        found["fired"] = self.fired[c.index].addresses[part]
        if c.injected:
            found["injected"] = self.injected[c.index].addresses[part]
        return np.array([found[name] for name in arguments(c)[0]], np.int64)

    def _table(self, t: Table) -> dict[str, int]:
        return {"part": self.part_of(t.base), "source": t.source, "base": t.base, "width": len(t.delays), "rows": len(t.segments),
                "delays_at": self._address(t.delays),
                "below_at": self._address(np.searchsorted(t.delays, np.arange(len(self.history) + self.window))),
                "segments_at": self._address(t.segments), "synapses_at": self._address(t.synapses),
                "size": t.synapses.itemsize, "single": t.single or 0}  # fmt: skip

    def _rows(self, r: Rows) -> dict[str, Any]:
        piece, request = r.piece, r.piece.pairs.request
        addresses = {"own": request.own, "starts": request.starts, "weights": piece.weights.numbers, "steps": piece.delays.steps,
                     "limits": piece.delays.limits, "guide": piece.delays.guide}  # fmt: skip
        row = {f"{name}_at": self._address(array) for name, array in addresses.items()}
        row |= {name: len(array) for name, array in addresses.items()}
        return row | {
            "seed": request.seed, "part": r.part, "source": r.source, "kernel": KERNELS.index(piece.pairs.kernel),
            "source_start": piece.source_start, "source_step": piece.source_step, "first": piece.first, "last": piece.last,
            "slot_start": piece.slot_start - self.program.layout.region(r.part)[0], "slot_step": piece.slot_step,
            "sources": request.sources, "targets": request.targets, "number": request.number, "p": request.p,
            "multapses": request.multapses, "stream": int(request.stream), "scale": piece.scale,
            "weight_kind": piece.weights.kind, "weight_stream": int(piece.weights.stream),
            "delay_kind": piece.delays.kind, "least": piece.delays.least, "delay_stream": int(piece.delays.stream),
        }  # fmt: skip

    def _future(self, part: int) -> dict[str, int]:
        first, last = self.program.layout.region(part)
        longest = max((r.piece.pairs.longest for r in self.program.rows if r.part == part), default=0)
        return {"first": first, "width": last - first, "inputs_at": self.futures[part].ctypes.data, "longest": longest,
                "arrivals_at": self._address(lines(1, len(self.history), "int64")),
                "scratch_at": self._address(lines(1, VECTORS * longest, "int64"))}  # fmt: skip

    def part_of(self, base: int) -> int:
        """The part in whose region of slots ``base`` lies."""
        slots = self.program.layout.slots.reshape(self.parts, -1)
        starts = [min((s for s in row if s >= 0), default=0) for row in slots.tolist()]
        return int(np.searchsorted(starts, base, side="right")) - 1

    def _held(self, held: Held, values: np.ndarray) -> dict[str, int]:
        return _ids(held) | {"changes_at": self._address(held.steps), "changes": len(held.steps), "values_at": values.ctypes.data,
                             "width": values.shape[1]}  # fmt: skip

    def _drive(self, drive: Drive) -> dict[str, Any]:
        rows = np.array([row.addresses for row in self.drives[drive.cells, drive.port]])
        first = drive.halves[0]
        compared = first[(first > 0) & (first < first[-1])].astype(np.uint16)  # what half words that decide may reach, or not
        return _ids(drive) | {"rows_at": self._address(rows), "halves_at": self._address(drive.halves),
                              "rests_at": self._address(drive.rests), "sets": drive.halves.shape[0], "limits": drive.halves.shape[1],
                              "compared_at": self._address(compared), "compared": len(compared), "least": np.count_nonzero(first == 0),
                              "stream": int(drive.stream), "rest": int(drive.rest), "weight": drive.weight,
                              "counted": self.program.cells[drive.cells].ports[drive.port].drive_unit is not None}  # fmt: skip

    def _sampler(self, sampler: Sampler, out: np.ndarray) -> dict[str, int]:
        row = self.values[sampler.cells][sampler.variable]
        return {"cells": sampler.cells, "row_at": self._address(row.addresses), "ids_at": self._address(sampler.ids),
                "count": len(sampler.ids), "interval": sampler.interval, "out_at": out.ctypes.data}  # fmt: skip


def _moving(c: Cells) -> list[int]:
    """The variables that may change."""
    return [at for at in range(len(c.initial)) if at not in c.still]


def _ids(entry: Held | Noise | Drive) -> dict[str, int]:
    return {"cells": entry.cells, "start": entry.ids.start, "step": entry.ids.step, "count": len(entry.ids)}


def _noise(noise: Noise) -> dict[str, Any]:
    return _ids(noise) | {"interval": noise.interval, "stream": int(noise.stream), "mean": noise.mean, "sd": noise.sd}
