"""The reference engine: plain Python, one neuron and one synapse at a time.

It is the oracle for the others and shares with them the program, the models' scalar steps and the counter-based
draws, but not the way spikes are delivered: here each spike is put at once into the step where it is due.
"""

from collections import defaultdict
from itertools import product

import numpy as np

from spikesim.draws import reached_in_halves
from spikesim.engine.state import Segment, State, initial_state, sample_steps
from spikesim.program import MEMBRANE, POISSON, AlongBlock, Cells, ConvBlock, DenseBlock, Program
from spikesim.random import half_of, standard_normal, word_of, words
from spikesim.synapses import CONDUCTANCE, CURRENT, JUMP

Targets = dict[int, list[tuple[int, int]]]  # for each source its (target, weight)


class Reference:
    """Executes a program of one part in float64."""

    precisions = ("float64",)  # Python's own numbers
    most_parts = 1  # one thread, so that every line can be followed
    procedural = False
    largest_chunk = 1 << 20

    def __init__(self, program: Program, *, precision: str = "float64") -> None:
        self.program = program
        self.seed = np.uint64(program.seed)
        self.blocks = program.dense + program.conv + program.along
        self.fan_out = [*map(_dense_targets, program.dense), *map(_conv_targets, program.conv), *map(_along_targets, program.along)]
        self.limits = [cells.limits.copy() for cells in program.cells]
        self.held = [held.values.copy() for held in program.held]
        self.restore(initial_state(program))

    def hold(self, index: int, values: np.ndarray) -> None:
        """Replace the values of a held current, float64 (changes, 1 or neurons)."""
        self.held[index][:] = values

    def set_limits(self, index: int, limits: np.ndarray) -> None:
        """Replace the limits of a Poisson population, uint64 (size,)."""
        self.limits[index][:] = limits

    def reseed(self, seed: int) -> None:
        """Draw all random numbers from now on from another seed."""
        self.seed = np.uint64(seed)

    def restore(self, state: State) -> None:
        """Continue from ``state``."""
        self.step = state.step
        self.values = [array.astype(np.float64).tolist() for array in state.values]
        sizes = state.flight_sizes if len(state.flight_sizes) else np.ones(len(state.flight_steps), np.int32)
        self.flight = list(zip(state.flight_steps.tolist(), state.flight_neurons.tolist(), sizes.tolist(), strict=True))
        self.due: defaultdict[int, defaultdict] = defaultdict(lambda: defaultdict(int))
        for step, neuron, size in self.flight:
            cells = next(c for c in self.program.cells if c.start <= neuron < c.start + c.size)
            self._send(cells, neuron - cells.start, size, step, after=self.step)

    def snapshot(self) -> State:
        """The state after the steps so far."""
        kept = [entry for entry in self.flight if entry[0] >= self.step - self.program.longest_delay]
        steps, neurons, sizes = np.array(kept, np.int64).reshape(-1, 3).T
        shapes = [cells.initial.shape for cells in self.program.cells]
        values = tuple(np.array(v).reshape(s) for v, s in zip(self.values, shapes, strict=True))
        return State(self.step, values, steps, neurons, self._sizes(sizes))

    def _sizes(self, sizes) -> np.ndarray:
        """The sizes of spikes, as far as there are any."""
        return np.array(sizes if self.program.graded else [], np.int32)

    def read(self, cells: int, variable: int) -> np.ndarray:
        """A state variable of a population, (size,)."""
        return np.array(self.values[cells][variable])

    def advance(self, steps: int) -> Segment:
        """Run ``steps`` steps."""
        first, program = self.step, self.program
        spikes: list[tuple[int, int]] = []  # key (see `Segment`) and size
        population_counts = np.zeros((steps, len(program.cells)), np.int64)
        neuron_counts = np.zeros(program.neurons, np.int64)
        samples: list[list] = [[] for _ in program.samplers]
        for step in range(first, first + steps):
            for cells, neuron, size in self._one_step(step):
                population_counts[step - first, cells.index] += 1
                neuron_counts[cells.start + neuron] += program.count_cells[cells.index]
                if program.spike_cells[cells.index]:
                    spikes.append(((step - first) << 32 | cells.start + neuron, size))
            for sampler, rows in zip(program.samplers, samples, strict=True):
                if step in sample_steps(sampler.interval, step, 1):
                    rows.append([self.values[sampler.cells][sampler.variable][i] for i in sampler.ids])
        spikes.sort()
        keys, sizes = np.array([key for key, _ in spikes], np.int64), self._sizes([size for _, size in spikes])
        arrays = tuple(np.array(rows).reshape(-1, len(s.ids)) for rows, s in zip(samples, program.samplers, strict=True))
        return Segment(keys, population_counts, neuron_counts, arrays, sizes)

    def _one_step(self, step: int) -> list[tuple[Cells, int, int]]:
        fired = []
        arrived = self.due[step]
        for stage in range(self.program.stages):
            for cells in (c for c in self.program.cells if c.stage == stage):
                for neuron, size in self._fire(cells, step, arrived):
                    fired.append((cells, neuron, size))
                    self.flight.append((step, cells.start + neuron, size))
                    self._send(cells, neuron, size, step, after=step)
        del self.due[step]
        self.step = step + 1
        if step % 1000 == 0:
            self.flight = [entry for entry in self.flight if entry[0] > step - self.program.longest_delay - 1]
        return fired

    def _fire(self, cells: Cells, step: int, arrived: defaultdict) -> list[tuple[int, int]]:
        """The neurons of ``cells`` that fire in ``step``, and the sizes of their spikes."""
        if cells.kind == MEMBRANE:
            sizes = [int(self._update(cells, i, step, arrived)) for i in range(cells.size)]
            return [(i, size) for i, size in enumerate(sizes) if size]
        limits, seed = self.limits[cells.index], self.seed
        if cells.kind == POISSON:
            return [(i, 1) for i in range(cells.size) if word_of(seed, np.uint64(cells.stream), i, step) < limits[i]]
        now = cells.train_steps == step
        sizes = cells.train_sizes[now] if cells.graded else np.ones(np.count_nonzero(now), np.int32)
        return list(zip(cells.train_ids[now].tolist(), sizes.tolist(), strict=True))

    def _update(self, cells: Cells, i: int, step: int, arrived: defaultdict) -> float:
        """Advance one neuron; returns the size of its spike, 0 if it does not fire."""
        values = self.values[cells.index]
        inputs = [*self._contributions(cells, i, step, arrived), self._current(cells, i, step)]
        own = values[: cells.own]
        *state, spike = cells.membrane(*(row[i] for row in own), *inputs, *_of(cells.coefficients, i))  # type: ignore[misc]
        for row, value in zip(own, state, strict=True):
            row[i] = value
        return spike

    def _contributions(self, cells: Cells, i: int, step: int, arrived: defaultdict) -> list[float]:
        """Advance the receptors of one neuron; returns what each gives to the membrane, or the sums of each kind."""
        values, separate = self.values[cells.index], []
        sums = {CURRENT: 0.0, JUMP: 0.0, CONDUCTANCE: 0.0}
        pull = 0.0
        for at, port in enumerate(cells.ports):
            x = arrived[cells.index, at, i] * port.quantum
            if port.driven:
                x = x + self._drive(cells, at, i, step)
            *state, contribution = port.step(*(values[row][i] for row in port.variables), x, *_of(port.coefficients, i))
            for row, value in zip(port.variables, state, strict=True):
                values[row][i] = value
            separate.append(contribution)
            if cells.separate:
                continue
            sums[port.kind] = sums[port.kind] + contribution
            if port.kind == CONDUCTANCE:
                pull = pull + contribution * _at(port.reversal, i)
        return separate if cells.separate else [sums[CURRENT], sums[JUMP], sums[CONDUCTANCE], pull]

    def _drive(self, cells: Cells, port: int, i: int, step: int) -> float:
        total = 0.0
        for drive in self.program.drives:
            if drive.cells == cells.index and drive.port == port and i in drive.ids:
                row = drive.ids.index(i) if len(drive.halves) > 1 else 0
                half, rest = (np.uint64(half_of(self.seed, stream, i, step)) for stream in (drive.stream, drive.rest))
                total = total + drive.weight * reached_in_halves(drive.halves[row], drive.rests[row], half, rest)
        return total

    def _current(self, cells: Cells, i: int, step: int) -> float:
        total = 0.0
        for held, values in zip(self.program.held, self.held, strict=True):
            if held.cells == cells.index and i in held.ids:
                change = int(np.searchsorted(held.steps, step, side="right")) - 1
                column = held.ids.index(i) if values.shape[1] > 1 else 0
                total = total + (float(values[change, column]) if change >= 0 else 0.0)
        for noise in self.program.noise:
            if noise.cells == cells.index and i in noise.ids:
                w0, w1, _, _ = words(self.seed, noise.stream, np.uint64(i), np.uint64(step // noise.interval))
                total = total + (noise.mean + noise.sd * standard_normal(w0, w1))
        return total

    def _send(self, cells: Cells, neuron: int, size: int, step: int, *, after: int) -> None:
        """Put the weights of one spike, times its size, into the steps where they are due, from ``after`` on."""
        for table in self.program.tables:
            if table.source != cells.index:
                continue
            for column, delay in enumerate(table.delays.tolist()):
                row = neuron * len(table.delays) + column
                for k in range(table.segments[row], table.segments[row + 1]):
                    target = self._owner(table.base + int(table.targets[k]))
                    weight = int(table.weights[k if len(table.weights) > 1 else 0])
                    if step + delay >= after:
                        self.due[step + delay][target] += size * weight
        for block, fan_out in zip(self.blocks, self.fan_out, strict=True):
            ends = block.ends
            if ends.source == cells.index and step + ends.delay >= after:
                source, beside = divmod(neuron - ends.source_start, ends.source_step)
                for target, weight in fan_out.get(source, ()) if beside == 0 else ():
                    self.due[step + ends.delay][ends.target, ends.port, ends.target_start + ends.target_step * target] += size * weight

    def _owner(self, slot: int) -> tuple[int, int, int]:
        """(population, port, neuron) of an input slot."""
        for cells, port in ((c, p) for c in self.program.cells for p in range(len(c.ports))):
            first = int(self.program.layout.slots[0, cells.index, port])
            if first <= slot < first + cells.size:
                return cells.index, port, slot - first
        raise AssertionError(f"slot {slot} belongs to nobody")


def _dense_targets(block: DenseBlock) -> Targets:
    return {source: list(enumerate(row)) for source, row in enumerate(block.weights.tolist())}


def _conv_targets(block: ConvBlock) -> Targets:
    """From the definition: each target sums over the kernel at its place, or, transposed, each source spreads the kernel at its place."""
    made: Targets = defaultdict(list)
    lies = block.geometry
    here, there = (lies.source_shape, lies.target_shape) if lies.transposed else (lies.target_shape, lies.source_shape)
    for place, offset in product(product(*map(range, here[1:])), product(*map(range, lies.kernel))):
        other = tuple(p * s - pad + k * d for p, s, pad, k, d in
                      zip(place, lies.stride, lies.padding, offset, lies.dilation, strict=True))  # fmt: skip
        if all(0 <= a < n for a, n in zip(other, there[1:], strict=True)):
            source, target = (place, other) if lies.transposed else (other, place)
            for channel, of_group in product(range(lies.source_shape[0]), range(block.weights.shape[4])):
                out = channel * lies.groups // lies.source_shape[0] * block.weights.shape[4] + of_group
                neuron = _neuron(lies.target_shape, out, target, last=lies.channels_last)
                weight = int(block.weights[channel, *offset, of_group])
                made[_neuron(lies.source_shape, channel, source, last=lies.channels_last)].append((neuron, weight))
    return made


def _neuron(shape: tuple[int, ...], channel: int, place: tuple[int, ...], *, last: bool) -> int:
    """The number of the neuron of a channel at a place in a population of ``shape`` (channels, *space)."""
    if last:
        return int(np.ravel_multi_index((*place, channel), (*shape[1:], shape[0])))
    return int(np.ravel_multi_index((channel, *place), shape))


def _along_targets(block: AlongBlock) -> Targets:
    """From the definition: y[o, j, i] += weight x[o, k, i] for every entry (j, k)."""
    made: Targets = defaultdict(list)
    outputs, inputs = block.shape
    for o, k, i in product(range(block.outer), range(inputs), range(block.inner)):
        for e in range(block.starts[k], block.starts[k + 1]):
            weight = int(block.weights[block.rows[e], i if block.weights.shape[1] > 1 else 0])
            made[(o * inputs + k) * block.inner + i].append(((o * outputs + int(block.outputs[e])) * block.inner + i, weight))
    return made


def _at(value, i: int) -> float:
    return value if isinstance(value, float) else float(value[i])


def _of(coefficients: dict, i: int) -> list[float]:
    return [_at(value, i) for value in coefficients.values()]
