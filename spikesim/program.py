"""The program: a network as flat arrays, what every engine executes.

`spikesim.compiler` makes it. Time is counted in steps; a spike found in step n (from n dt to (n + 1) dt) with a delay
of d steps is summed into its targets' input at the end of step n + d. Input is summed in integers, in multiples of the
quantum of each receptor.

| array                     | shape               | dtype            | meaning |
|---------------------------|---------------------|------------------|---------|
| Cells.initial             | (variables, size)   | float64          | state at time 0 |
| Cells.coefficients[name]  | () or (size,)       | float            | membrane coefficient |
| Port.coefficients[name]   | () or (size,)       | float            | receptor coefficient |
| Layout.bounds             | (parts + 1, cells)  | int64            | neurons of each part |
| Layout.slots              | (parts, cells, ports) | int64          | first input slot, -1 for none |
| Table.*                   |                     |                  | see `spikesim.connectivity.tables` |
| Rows.*                    |                     |                  | see `spikesim.connectivity.procedural` |
| DenseBlock.weights        | (sources, targets)  | int16 or int32   | in quanta |
| ConvBlock.weights         | (channels in, *kernel (3), channels out / groups) | int16 or int32 | in quanta |
| AlongBlock.weights        | (rows, 1 or inner)  | int16 or int32   | in quanta |
| AlongBlock.starts         | (inputs + 1,)       | int64            | entries of each column |
| AlongBlock.outputs, .rows | (entries,)          | int32            | row of the matrix, row of the weights |
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikesim.connectivity.procedural import Rows
from spikesim.connectivity.tables import BLOCK, Table

MEMBRANE, POISSON, TRAIN = range(3)  # what makes a population's spikes


@dataclass(frozen=True)
class Port:
    """One receptor of a population, ready to run."""

    name: str
    kind: str  # JUMP, CURRENT or CONDUCTANCE
    step: Callable
    coefficients: dict[str, Any]
    reversal: Any  # mV, of conductances
    variables: tuple[int, ...]  # its rows in the population's state
    quantum: float  # a weight of 1 in the tables
    wide: bool  # weights need int32
    driven: bool  # Poisson drive is added to its input
    drive_unit: float | None  # of its only drive, of which numbers of spikes are kept; None: drives are summed


@dataclass(frozen=True)
class Cells:
    """One population, ready to run."""

    name: str
    index: int
    size: int
    start: int  # number of its first neuron among all neurons
    stage: int
    kind: int  # MEMBRANE, POISSON or TRAIN
    variables: tuple[str, ...] = ()
    own: int = 0  # the first variables are the membrane's, the others its ports'
    still: tuple[int, ...] = ()  # variables that are 0 and stay so
    initial: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    membrane: Callable | None = None
    coefficients: dict[str, Any] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    injected: bool = False  # a stimulus injects current
    separate: bool = False  # the membrane is given each port's contribution by itself
    graded: bool = False  # spikes have sizes, which the membrane gives, or the train
    largest_spike: int = 1
    limits: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))  # POISSON: fires if a word is below
    stream: int = 0
    train_steps: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # TRAIN: ascending
    train_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    train_sizes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))  # none where not graded


@dataclass(frozen=True)
class Layout:
    """How neurons and input slots are divided into parts, one for each thread.

    Slots are ordered by part, then port, then population, so that what a source reaches lies close together. Populations of
    different stages share slots where nothing has a delay.
    """

    bounds: np.ndarray
    slots: np.ndarray
    total: int

    @property
    def parts(self) -> int:
        return len(self.bounds) - 1

    def region(self, part: int) -> tuple[int, int]:
        """The input slots [first, last) of a part."""
        starts, sizes = self.slots[part], np.diff(self.bounds[part : part + 2], axis=0).T
        ends = (starts + sizes)[starts >= 0]
        return int(min(starts[starts >= 0], default=0)), int(max(ends, default=0))


@dataclass(frozen=True)
class Ends:
    """Where a structured projection leads: neurons start + step * k of two populations, and the port."""

    name: str
    source: int
    source_start: int
    source_step: int
    target: int
    target_start: int
    target_step: int
    port: int
    delay: int  # steps


@dataclass(frozen=True)
class DenseBlock:
    """A full matrix, one row for each source."""

    ends: Ends
    weights: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """How a convolution, or a transposed one, lies over three space dimensions (unused ones have size 1).

    channels_last: the neurons are numbered as (depth, height, width, channels), though shapes are given as below.
    """

    source_shape: tuple[int, ...]  # (channels, depth, height, width)
    target_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool
    channels_last: bool


@dataclass(frozen=True)
class ConvBlock:
    """A convolution; weights: (channels in, *kernel, channels out of a group)."""

    ends: Ends
    weights: np.ndarray
    geometry: Geometry


@dataclass(frozen=True)
class AlongBlock:
    """A sparse matrix (outputs, inputs), used for each outer and inner position: see `spikesim.connectivity.along`."""

    ends: Ends
    weights: np.ndarray
    starts: np.ndarray
    outputs: np.ndarray
    rows: np.ndarray
    shape: tuple[int, ...]  # (outputs, inputs)
    inner: int
    outer: int


@dataclass(frozen=True)
class Held:
    """A current that changes at given steps and is held in between."""

    cells: int
    ids: range
    steps: np.ndarray  # int64 (changes,), ascending
    values: np.ndarray  # float64 (changes, 1 or len(ids)), pA
    direct: bool = False  # a `DirectCurrent`, whose first values trials replace


@dataclass(frozen=True)
class Noise:
    """A current drawn anew for each neuron every ``interval`` steps."""

    cells: int
    ids: range
    mean: float
    sd: float
    interval: int
    stream: np.uint64


@dataclass(frozen=True)
class Drive:
    """Poisson spikes of one weight: their number is what a word of 16 bits stands for, or another one if that does not decide.

    See `spikesim.draws.in_halves`.
    """

    cells: int
    ids: range
    port: int
    weight: float
    halves: np.ndarray  # uint64 (1 or len(ids), counts)
    rests: np.ndarray
    stream: np.uint64
    rest: np.uint64  # the stream of the other words


@dataclass(frozen=True)
class Sampler:
    """A state variable to be sampled."""

    cells: int
    variable: int
    ids: np.ndarray  # int64, ascending
    interval: int


@dataclass(frozen=True)
class Rounding:
    """What storing the weights of one port in integers has cost."""

    port: str
    quantum: float
    bits: int
    largest_error: float  # relative, over all nonzero weights that are known beforehand


@dataclass(frozen=True)
class Program:
    """Everything an engine needs to run a network."""

    dt: float
    seed: int
    cells: tuple[Cells, ...]
    layout: Layout
    tables: tuple[Table, ...]
    rows: tuple[Rows, ...]  # in place of tables: synapses that are drawn again for each spike
    dense: tuple[DenseBlock, ...]
    conv: tuple[ConvBlock, ...]
    along: tuple[AlongBlock, ...]
    held: tuple[Held, ...]
    noise: tuple[Noise, ...]
    drives: tuple[Drive, ...]
    samplers: tuple[Sampler, ...]
    spike_cells: tuple[bool, ...]  # whose spikes are recorded
    count_cells: tuple[bool, ...]  # whose spikes are counted
    accumulator: type  # int32, or int64 where all spikes together could overflow it, which of rows is not known
    stages: int
    longest_delay: int  # steps
    rounding: tuple[Rounding, ...]

    @property
    def neurons(self) -> int:
        return sum(cells.size for cells in self.cells)

    @property
    def graded(self) -> bool:
        """Whether spikes have sizes."""
        return any(cells.graded for cells in self.cells)

    @property
    def synapses(self) -> int:
        """Weights, shared ones counted once."""
        blocks = self.dense + self.conv + self.along
        return sum(int(s.out_degrees.sum()) for s in self.tables + self.rows) + sum(block.weights.size for block in blocks)

    def cells_named(self, name: str) -> Cells:
        return next(cells for cells in self.cells if cells.name == name)


def make_layout(sizes: list[int], ports: list[int], parts: int, *, stages: list[int] | None = None) -> Layout:
    """Divide populations of ``sizes`` neurons with so many ``ports`` each into ``parts``.

    A port's slots of one part do not straddle two blocks unless they fill more than one. stages: of the populations, where those of
    different stages may have the same slots, since all that arrives does so without delay, just before its target is updated.
    """
    bounds = np.asarray(sizes, np.int64)[None, :] * np.arange(parts + 1)[:, None] // parts
    slots = np.full((parts, len(sizes), max(ports, default=0)), -1, np.int64)
    together = [[p for p in range(len(sizes)) if stages is None or stages[p] == stage] for stage in sorted(set(stages or [0]))]
    total = 0
    for part in range(parts):
        start = -(-total // BLOCK) * BLOCK
        total = max(_place(slots[part], np.diff(bounds[part : part + 2], axis=0)[0], ports, members, start) for members in together)
    return Layout(bounds, slots, total)


def _place(slots: np.ndarray, sizes: np.ndarray, ports: list[int], populations: list[int], total: int) -> int:
    """Give one part of some populations its ``slots`` from ``total`` on; returns where they end."""
    for port in range(slots.shape[1]):
        members = [p for p in populations if port < ports[p]]
        width = int(sizes[members].sum())
        if total % BLOCK + width > BLOCK:
            total = -(-total // BLOCK) * BLOCK
        for p in members:
            slots[p, port] = total
            total += int(sizes[p])
    return total
