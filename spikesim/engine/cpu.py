"""The CPU engine: numba kernels, one thread for each part of the neurons."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from spikesim.connectivity.tables import BLOCK, Table
from spikesim.engine.delivery import AHEAD, DUE
from spikesim.engine.native import BARRIER, SPINS
from spikesim.engine.plan import CELLS, CONV, DENSE, DRIVE, HELD, NOISE, PHASES, PLAN, SAMPLER, TABLE
from spikesim.engine.state import Segment, State, initial_state, sample_steps
from spikesim.engine.stimuli import SCRATCH
from spikesim.engine.sweep import arguments, coefficient, load_sweep
from spikesim.engine.worker import work
from spikesim.machine import cores
from spikesim.program import MEMBRANE, Cells, ConvBlock, DenseBlock, Drive, Held, Noise, Program, Sampler

CAPACITY = 1 << 22  # spikes, and samples, that one part can record in one call (at least one step's)


class Cpu:
    """Executes a program with one thread for each of its parts.

    precision: dtype of the neurons' state, "float32" or "float64".
    """

    precisions = ("float32", "float64")
    most_parts = 1024

    def __init__(self, program: Program, *, precision: str = "float32") -> None:
        self.program = program
        self.precision = precision
        self.kept: list[np.ndarray] = []  # arrays that the plan knows only by address
        recorded = sum(c.size for c, wanted in zip(program.cells, program.spike_cells, strict=True) if wanted)
        sampled = sum(len(s.ids) / s.interval for s in program.samplers)
        self.largest_chunk = max(1, min(10_000, CAPACITY // max(recorded, 1), int(CAPACITY / max(sampled, 1.0))))
        self._allocate(max(recorded, 1) * self.largest_chunk)
        self.plan = self._plan()
        self.types = np.zeros(1, program.accumulator)[0], np.zeros(1, precision)[0]
        self.pool = ThreadPoolExecutor(self.parts) if self.parts > 1 else None
        self.restore(initial_state(program))

    def _allocate(self, capacity: int) -> None:
        """The arrays that the threads work on, in the order of `spikesim.engine.plan.PLAN`."""
        program, precision = self.program, self.precision
        self.values = [np.empty(c.initial.shape, precision) for c in program.cells]
        self.injected = [np.zeros(c.size if c.injected else 0, precision) for c in program.cells]
        self.held = [np.array(h.values, order="C") for h in program.held]
        self.drives = {(d.cells, d.port): np.zeros(program.cells[d.cells].size, precision) for d in program.drives}
        self.samples = [np.empty((self.largest_chunk // s.interval + 1, len(s.ids))) for s in program.samplers]
        self.inputs = np.zeros(program.layout.total + BLOCK, program.accumulator)
        self.fired = np.zeros(program.neurons, np.uint8)
        self.barrier = np.zeros(BARRIER, np.int64)
        self.scratch = np.zeros((self.parts, SCRATCH), np.uint8)
        self.ticks = np.zeros((self.parts, len(PHASES)), np.int64)
        self.due = np.zeros((self.parts, DUE + AHEAD, 2), np.int64)
        self.history = np.empty((program.longest_delay + 1, program.neurons), np.int32)
        self.history_counts = np.zeros((program.longest_delay + 1, len(program.cells), self.parts), np.int64)
        self.record_steps, self.record_neurons = np.empty((2, self.parts, capacity), np.int32)
        self.recorded = np.zeros(self.parts, np.int64)
        self.population_counts = np.zeros((self.parts, self.largest_chunk, len(program.cells)), np.int64)
        self.neuron_counts = np.zeros(program.neurons, np.int64)

    @property
    def parts(self) -> int:
        return self.program.layout.parts

    def restore(self, state: State) -> None:
        """Continue from ``state``."""
        bounds = self.program.layout.bounds
        self.step = state.step
        for mine, given in zip(self.values, state.values, strict=True):
            mine[:] = given
        self.inputs[:] = 0
        self.history_counts[:] = 0
        for cells in self.program.cells:
            inside = (state.flight_neurons >= cells.start) & (state.flight_neurons < cells.start + cells.size)
            for step, neuron in zip(state.flight_steps[inside], state.flight_neurons[inside] - cells.start, strict=True):
                slot, part = step % len(self.history), int(np.searchsorted(bounds[:, cells.index], neuron, side="right")) - 1
                count = self.history_counts[slot, cells.index, part]
                self.history[slot, cells.start + bounds[part, cells.index] + count] = neuron
                self.history_counts[slot, cells.index, part] = count + 1

    def snapshot(self) -> State:
        """The state after the steps so far."""
        steps, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for step in range(max(0, self.step - self.program.longest_delay), self.step):
            slot = step % len(self.history)
            for cells in self.program.cells:
                for part in range(self.parts):
                    count, first = self.history_counts[slot, cells.index, part], cells.start + self.program.layout.bounds[part, cells.index]
                    neurons.append(self.history[slot, first : first + count] + np.int64(cells.start))
                    steps.append(np.full(count, step, np.int64))
        return State(self.step, tuple(v.astype(np.float64) for v in self.values), np.concatenate(steps), np.concatenate(neurons))

    def time_phases(self) -> None:
        """From now on, count the time that each phase of a step takes."""
        self.plan["timed"] = 1
        self.ticks[:] = 0

    def phases(self) -> dict[str, float]:
        """The share of each phase in the time since `time_phases`, over all threads."""
        return dict(zip(PHASES, (self.ticks.sum(axis=0) / max(1, self.ticks.sum())).tolist(), strict=True))

    def hold(self, index: int, values: np.ndarray) -> None:
        """Replace the values of a held current, float64 (changes, 1 or neurons)."""
        self.held[index][:] = values

    def advance(self, steps: int) -> Segment:
        """Run ``steps`` steps, at most ``largest_chunk``."""
        assert 0 <= steps <= self.largest_chunk, "the recording buffers hold no more"
        first = self.step
        self.recorded[:] = 0
        self.neuron_counts[:] = 0
        self.barrier[:] = 0
        if self.pool is None:
            work(self.plan, *self.types, 0, first, steps)
        else:
            for done in [self.pool.submit(work, self.plan, *self.types, part, first, steps) for part in range(self.parts)]:
                done.result()
        self.step += steps
        return self._segment(first, steps)

    def _segment(self, first: int, steps: int) -> Segment:
        at = np.concatenate([self.record_steps[p, :n] for p, n in enumerate(self.recorded)]).astype(np.int64) + first
        neurons = np.concatenate([self.record_neurons[p, :n] for p, n in enumerate(self.recorded)]).astype(np.int64)
        order = np.argsort(at * self.program.neurons + neurons, kind="stable")  # runs that are in order already
        samples = tuple(out[: len(sample_steps(s.interval, first, steps))].copy()
                        for out, s in zip(self.samples, self.program.samplers, strict=True))  # fmt: skip
        return Segment(at[order], neurons[order], self.population_counts[:, :steps].sum(axis=0), self.neuron_counts.copy(), samples)

    def _address(self, array: np.ndarray) -> int:
        self.kept.append(array)
        return array.ctypes.data

    def _plan(self) -> np.ndarray:
        program = self.program
        fields = self._shared() | {
            **self._records("cells", CELLS, [self._cells(c) for c in program.cells]),
            **self._records("tables", TABLE, [self._table(t) for t in program.tables]),
            **self._records("dense", DENSE, [self._dense(b) for b in program.dense]),
            **self._records("conv", CONV, [self._conv(b) for b in program.conv]),
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
            "bounds": layout.bounds, "slots": layout.slots, "inputs": self.inputs, "fired": self.fired, "barrier": self.barrier,
            "scratch": self.scratch, "due": self.due, "ticks": self.ticks, "history": self.history, "history_counts": self.history_counts,
            "record_steps": self.record_steps, "record_neurons": self.record_neurons, "recorded": self.recorded,
            "population_counts": self.population_counts, "neuron_counts": self.neuron_counts,
        }  # fmt: skip
        return {f"{name}_at": array.ctypes.data for name, array in arrays.items()} | {
            "seed": program.seed, "stages": program.stages, "threads": self.parts, "spins": SPINS if self.parts <= cores() else 0,
            "ring": len(self.history), "neurons": program.neurons, "populations": len(program.cells),
            "ports": layout.slots.shape[2], "input_size": self.inputs.itemsize,
            "capacity": self.record_steps.shape[1], "chunk": self.largest_chunk,
        }  # fmt: skip

    def _cells(self, c: Cells) -> dict[str, int]:
        row = {"kind": c.kind, "stage": c.stage, "start": c.start, "recorded": self.program.spike_cells[c.index],
               "counted": self.program.count_cells[c.index], "limits_at": self._address(c.limits), "stream": c.stream,
               "train_steps_at": self._address(c.train_steps), "train_ids_at": self._address(c.train_ids),
               "train_length": len(c.train_steps), "injected_at": self.injected[c.index].ctypes.data if c.injected else 0}  # fmt: skip
        if c.kind == MEMBRANE:
            row["sweep"] = load_sweep(c, self.precision, self.program.accumulator.__name__)
            row["constants_at"] = self._address(np.array([coefficient(c, name) for name in arguments(c)[1]], np.float64))
            row["rows_at"] = self._address(np.array([self._address(self._sweep_rows(c, part)) for part in range(self.parts)], np.int64))
        return row

    def _sweep_rows(self, c: Cells, part: int) -> np.ndarray:
        """The addresses, as of neuron 0, of the arrays over which a part's sweep of a population runs."""
        names, _, varying = arguments(c)
        slots = self.program.layout.slots[part, c.index] - self.program.layout.bounds[part, c.index]
        found = {f"state{row}": values.ctypes.data for row, values in enumerate(self.values[c.index])}
        found |= {f"drive{port}": row.ctypes.data for (cells, port), row in self.drives.items() if cells == c.index}
        found |= {f"input{port}": self.inputs.ctypes.data + self.inputs.itemsize * int(slots[port]) for port in range(len(c.ports))}
        found |= {name: self._address(coefficient(c, name).astype(self.precision)) for name in varying}  # type: ignore[union-attr]
        found |= {"injected": self.injected[c.index].ctypes.data, "fired": self.fired[c.start :].ctypes.data}
        return np.array([found[name] for name in names], np.int64)

    def _table(self, t: Table) -> dict[str, int]:
        return {"part": self.part_of(t.base), "source": t.source, "base": t.base, "width": len(t.delays), "rows": len(t.segments),
                "delays_at": self._address(t.delays), "segments_at": self._address(t.segments), "synapses_at": self._address(t.synapses),
                "size": t.synapses.itemsize, "single": t.single or 0}  # fmt: skip

    def part_of(self, base: int) -> int:
        """The part in whose region of slots ``base`` lies."""
        slots = self.program.layout.slots.reshape(self.parts, -1)
        starts = [min((s for s in row if s >= 0), default=0) for row in slots.tolist()]
        return int(np.searchsorted(starts, base, side="right")) - 1

    def _dense(self, block: DenseBlock) -> dict[str, int]:
        return self._block(block) | {"sources": block.weights.shape[0], "targets": block.weights.shape[1]}

    def _conv(self, block: ConvBlock) -> dict[str, int]:
        return self._block(block) | {"shapes_at": self._address(_conv_shapes(block))}

    def _held(self, held: Held, values: np.ndarray) -> dict[str, int]:
        return _ids(held) | {"changes_at": self._address(held.steps), "changes": len(held.steps), "values_at": values.ctypes.data,
                             "width": values.shape[1]}  # fmt: skip

    def _drive(self, drive: Drive) -> dict[str, Any]:
        return _ids(drive) | {"row_at": self.drives[drive.cells, drive.port].ctypes.data, "limits_at": self._address(drive.limits),
                              "rows": drive.limits.shape[0], "limits": drive.limits.shape[1], "guide_at": self._address(drive.guide),
                              "stream": int(drive.stream), "rest": int(drive.rest), "weight": drive.weight}  # fmt: skip

    def _sampler(self, sampler: Sampler, out: np.ndarray) -> dict[str, int]:
        row = self.values[sampler.cells][sampler.variable]
        return {"cells": sampler.cells, "row_at": row.ctypes.data, "ids_at": self._address(sampler.ids), "count": len(sampler.ids),
                "interval": sampler.interval, "out_at": out.ctypes.data}  # fmt: skip

    def _block(self, block: DenseBlock | ConvBlock) -> dict[str, int]:
        ends = {name: value for name, value in vars(block.ends).items() if name != "name"}
        return ends | {"weights_at": self._address(block.weights), "bits": block.weights.itemsize * 8}


def _ids(entry: Held | Noise | Drive) -> dict[str, int]:
    return {"cells": entry.cells, "start": entry.ids.start, "step": entry.ids.step, "count": len(entry.ids)}


def _noise(noise: Noise) -> dict[str, Any]:
    return _ids(noise) | {"interval": noise.interval, "stream": int(noise.stream), "mean": noise.mean, "sd": noise.sd}


def _conv_shapes(block: ConvBlock) -> np.ndarray:
    return np.array([block.source_shape, block.target_shape, (block.groups, *block.stride), (0, *block.padding), (1, *block.dilation),
                     (block.groups, *block.weights.shape[1:4])], np.int64)  # fmt: skip
