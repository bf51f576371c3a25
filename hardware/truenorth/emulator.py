"""The emulator: executes a chip image tick by tick, the same for any number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spikesim.description import same
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.hardware.truenorth import kernels
from spikesim.hardware.truenorth.image import ChipImage, Inputs, target_cores
from spikesim.hardware.truenorth.limits import CHIP_HEIGHT, CHIP_WIDTH, SLOTS, WORDS
from spikesim.hardware.unroll import refuse_sizes
from spikesim.kernel import kernel
from spikesim.machine import cores
from spikesim.neurons.truenorth import Rules
from spikesim.random import word_of
from spikesim.recording import Recording, Spikes, recorded
from spikesim.stimulus import SpikeTrains

CORES_PER_THREAD = 64  # below this, threads wait for each other longer than they work
CHUNK = 256  # ticks of one call into the kernel
ROOM = 1 << 16  # spikes of one call, beside those of one tick
ALL = "neurons"  # the name under which all neurons are recorded: neuron j of core c is 256 c + j


class Chip(NamedTuple):
    """An image as the kernels take it; see `spikesim.hardware.truenorth.image.ARRAYS` for shapes."""

    positions: np.ndarray
    crossbar: np.ndarray
    axon_types: np.ndarray  # uint16 (cores, 256), the type, and from bit 2 on the number of synapses
    weights: np.ndarray
    leak: np.ndarray  # float32, its sign as the rules have it
    limits: np.ndarray  # float32 (cores, 3, 256), alpha, beta and the reset potential
    mask: np.ndarray
    modes: np.ndarray
    kinds: np.ndarray  # uint8 (cores,), EVEN, DETERMINISTIC or STOCHASTIC
    routes: np.ndarray  # int64 (cores, 256), where a spike goes, how far, and whether it is listed; see `kernels.SENDS`
    most_watched: int


@dataclass(frozen=True)
class Activity:
    """What happened so far: spikes fired, packets between cores, axon and synaptic events, hops, crossings from chip to chip,
    ticks in which a potential left its 20 bits, and cores that had something to do, each summed over all ticks."""

    ticks: int
    spikes: int
    packets: int
    axon_events: int
    synaptic_events: int
    hops: int
    chip_crossings: int
    overflows: int
    awake_cores: int


class Emulator:
    """Chips loaded with ``image``, and their state.

    seed: of the stochastic modes and random inputs, 0 to 2**64 - 1. threads: by default as many as pay; the spikes do not depend
    on it. watch_all: record every neuron as population "neurons", beside the image's outputs.
    """

    def __init__(self, image: ChipImage, *, seed: int = 0, threads: int | None = None, watch_all: bool = False) -> None:
        if not isinstance(image, ChipImage):
            raise KindError(f"Emulator: expected a ChipImage, got {image!r}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise DescriptionError(f"Emulator: seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1):
            raise DescriptionError(f"Emulator: threads must be a whole number from 1 on, got {threads!r}")
        self.image, self.seed, self.watch_all = image, int(seed), watch_all
        self.threads = max(1, min(threads or min(cores(), image.cores // CORES_PER_THREAD), image.cores))
        self.chip = _chip(image, watch_all)
        self.rules = tuple(np.float32(value) for value in image.rules.coefficients().values())
        self.default = same(image.rules.values() | {"leak_sign": "plus", "reset_encoding": "", "mask_bits": 8},
                            Rules().values() | {"reset_encoding": ""})  # fmt: skip
        self.reset()

    def reset(self) -> None:
        """Return to tick 0."""
        self.tick = 0
        self.v = self.image.potential.astype(np.float32)
        self.asleep = np.zeros(self.image.cores, np.uint8)
        self.rings = np.zeros((self.threads, SLOTS, self.image.cores, WORDS), np.uint64)
        self.counts = np.zeros((self.threads, 8), np.int64)
        self.pending = np.zeros((0, 3), np.int64)

    @property
    def potential(self) -> np.ndarray:
        """The potentials now, int32 (cores, 256)."""
        return self.v.astype(np.int32)

    @property
    def activity(self) -> Activity:
        """What happened since tick 0."""
        n = self.counts.sum(axis=0).tolist()
        return Activity(self.tick, n[kernels.SPIKES], n[kernels.PACKETS], n[kernels.ARRIVALS], n[kernels.EVENTS], n[kernels.HOPS],
                        n[kernels.CROSSINGS], n[kernels.OVERFLOWS], n[kernels.AWAKE])  # fmt: skip

    def run(self, inputs: Mapping[str, Any] | None = None, *, steps: int) -> Recording:
        """Run on for ``steps`` ticks of 1 ms.

        inputs: for each name of the image's inputs an array of 0 and 1 (steps, lines), from the present tick on, or `SpikeTrains`
        (a spike at time t belongs to tick t - 1); inputs that are not given play what the image holds. Returns the spikes of the
        outputs by name, a spike of tick t stamped t + 1 ms.
        """
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
            raise DescriptionError(f"run: steps must be a whole number from 0 on, got {steps!r}")
        start = self.tick
        events = np.concatenate([self.pending, *self._events(inputs or {}, int(steps))])
        events = np.ascontiguousarray(events[np.argsort(events[:, 0], kind="stable")])
        until = int(np.searchsorted(events[:, 0], start + steps))
        self.pending = events[until:]
        spikes = self._advance(int(steps), events[:until])
        return self._recording(start, spikes)

    def _events(self, inputs: Mapping[str, Any], steps: int) -> list[np.ndarray]:
        """For each input its events: tick, core and axon."""
        for name in inputs:
            if name not in self.image.inputs:
                raise unknown_name("input", name, self.image.inputs, where="run")
        made = []
        for name, lines in self.image.inputs.items():
            given = _given(inputs[name], lines, f"run: input {name!r}", self.tick, steps) if name in inputs else self._own(lines, steps)
            order = np.argsort(lines.targets[:, 0], kind="stable")
            targets = lines.targets[order]
            first, last = (np.searchsorted(targets[:, 0], given[:, 1], side=side) for side in ("left", "right"))
            count = last - first
            rows = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
            made.append(np.stack([np.repeat(given[:, 0], count) + targets[rows, 3], targets[rows, 1], targets[rows, 2]], axis=1))
        return made

    def _own(self, lines: Inputs, steps: int) -> np.ndarray:
        """The ticks and lines of what an input plays by itself."""
        train = lines.train[(lines.train[:, 0] >= self.tick) & (lines.train[:, 0] < self.tick + steps)]
        if not lines.limits.any():
            return train
        fired = np.zeros((steps, lines.size), np.bool_)
        draw_spikes(np.uint64(self.seed), np.uint64(lines.stream), lines.limits, self.tick, fired)
        return np.concatenate([train, np.argwhere(fired) + np.array([self.tick, 0])])

    def _advance(self, steps: int, events: np.ndarray) -> np.ndarray:
        """Run the kernels and return the watched spikes, int64 (n, 2) of tick and neuron, in order."""
        end, parts = self.tick + steps, []
        bounds = np.linspace(0, self.image.cores, self.threads + 1).astype(int).tolist()
        out = [np.empty((self.chip.most_watched + ROOM, 2), np.int64) for _ in range(self.threads)]
        seed = np.uint64(self.seed)

        def work(thread: int, ticks: int, due: np.ndarray) -> tuple[int, np.ndarray]:
            done, found = kernels.advance(self.chip, self.v, self.asleep, self.rings, thread, bounds[thread], bounds[thread + 1], self.tick,
                                          ticks, due, seed, self.rules, self.default, out[thread], self.counts[thread])  # fmt: skip
            return done, out[thread][:found].copy()

        if self.threads == 1:
            while self.tick < end:
                due = events[np.searchsorted(events[:, 0], self.tick) :]
                done, found = work(0, min(CHUNK, end - self.tick), due)
                self.tick += done
                parts.append(found)
        else:
            crew = Crew(self.threads)
            try:
                while self.tick < end:
                    low, high = np.searchsorted(events[:, 0], [self.tick, self.tick + 1])
                    parts += [found for _, found in crew.each(work, 1, events[low:high])]
                    self.tick += 1
            finally:
                crew.close()
        return np.concatenate([np.zeros((0, 2), np.int64), *parts])

    def _recording(self, start: int, spikes: np.ndarray) -> Recording:
        made = {}
        for name, table in self.image.outputs.items():
            keys = table[:, 1] * 256 + table[:, 2]
            order = np.argsort(keys)
            at = np.searchsorted(keys[order], spikes[:, 1])
            at = np.minimum(at, max(len(keys) - 1, 0))
            ours = keys[order][at] == spikes[:, 1] if len(keys) else np.zeros(len(spikes), bool)
            ids = table[order, 0][at[ours]] if len(keys) else np.zeros(0, np.int64)
            made[name] = _spikes(spikes[ours, 0], ids, np.sort(table[:, 0]))
        if self.watch_all:
            made[ALL] = _spikes(spikes[:, 0], spikes[:, 1], np.arange(self.image.cores * 256))
        return Recording(float(start), float(self.tick), 1.0, spikes=recorded("spikes", made))


class Crew:
    """Threads that do one piece of work each, again and again; the caller does the first piece."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads - 1)
        self.threads = threads

    def each(self, work: Any, *arguments: Any) -> list[Any]:
        """The results of work(thread, *arguments) for each thread."""
        others = [self.pool.submit(work, thread, *arguments) for thread in range(1, self.threads)]
        return [work(0, *arguments), *(other.result() for other in others)]

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


@kernel
def draw_spikes(seed, stream, limits, tick, fired):
    """Where a line's word in a tick lies below its limit; fired: bool (ticks, lines)."""
    for t in range(fired.shape[0]):
        for line in range(fired.shape[1]):
            fired[t, line] = word_of(seed, stream, line, tick + t) < limits[line]


def _spikes(ticks: np.ndarray, ids: np.ndarray, watched: np.ndarray) -> Spikes:
    order = np.lexsort((ids, ticks))
    return Spikes((ticks[order] + 1).astype(np.float64), ids[order].astype(np.int64), watched.astype(np.int64))


def _given(value: Any, lines: Inputs, what: str, tick: int, steps: int) -> np.ndarray:
    """Ticks and lines of an input's spikes, int64 (n, 2)."""
    if isinstance(value, SpikeTrains):
        refuse_sizes(value, what)
        ticks = np.rint(value.times).astype(np.int64) - 1
        if (np.abs(ticks + 1 - value.times) > 1e-6).any():
            raise DescriptionError(
                f"{what}: expected times that are whole ms, a tick each, got {value.times[ticks + 1 != value.times][0]:g}"
            )
        found = np.stack([ticks, value.ids], axis=1)
        found = found[(ticks >= tick) & (ticks < tick + steps)]
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "bui" or array.shape != (steps, lines.size):
            raise DescriptionError(
                f"{what}: expected an array of 0 and 1 of shape ({steps}, {lines.size}), got {array.dtype} {array.shape}"
            )
        if array.size and not ((array == 0) | (array == 1)).all():
            raise DescriptionError(
                f"{what}: expected 0 and 1, a line carries at most one spike a tick, got {array[(array != 0) & (array != 1)][0]}"
            )
        found = np.argwhere(array) + np.array([tick, 0])
    if len(found) and found[:, 1].max() >= lines.size:
        raise DescriptionError(f"{what}: expected lines below {lines.size}, got {found[:, 1].max()}")
    return found.astype(np.int64)


def _chip(image: ChipImage, watch_all: bool) -> Chip:
    watched = np.full(image.modes.shape, watch_all)
    for table in image.outputs.values():
        watched[table[:, 1], table[:, 2]] = True
    sign = -1.0 if image.rules.leak_sign == "minus" else 1.0
    limits = np.stack([image.threshold, image.floor, image.reset], axis=1).astype(np.float32)
    leak = np.ascontiguousarray(sign * image.leak, np.float32)
    degrees = np.bitwise_count(image.crossbar).sum(axis=2, dtype=np.uint16)
    return Chip(
        positions=image.positions, crossbar=image.crossbar, axon_types=image.axon_types | degrees << np.uint16(2), weights=image.weights,
        mask=image.mask, modes=image.modes, kinds=_kinds(image), routes=_routes(image, watched), leak=leak, limits=limits,
        most_watched=int(watched.sum()),
    )  # fmt: skip


def _routes(image: ChipImage, watched: np.ndarray) -> np.ndarray:
    targets = target_cores(image).astype(np.int64)
    dx, dy, axon, delay = (image.destinations[:, :, k].astype(np.int64) for k in range(4))
    x, y = image.positions[:, :1].astype(np.int64), image.positions[:, 1:].astype(np.int64)
    crossings = np.abs((x + dx) // CHIP_WIDTH - x // CHIP_WIDTH) + np.abs((y + dy) // CHIP_HEIGHT - y // CHIP_HEIGHT)
    way = (np.abs(dx) + np.abs(dy)) << kernels.HOPS_AT | crossings << kernels.CROSSINGS_AT
    goal = kernels.SENDS | targets << kernels.TARGET_AT | axon << kernels.AXON_AT | delay << kernels.DELAY_AT
    return np.where(targets == -1, 0, way) | np.where(targets < 0, 0, goal) | watched * kernels.WATCHED


def _kinds(image: ChipImage) -> np.ndarray:
    random = ((image.modes & 0b111100010) != 0).any(axis=1) | (image.mask != 0).any(axis=1)
    alike = np.ones(image.cores, bool)
    for name in ("leak", "threshold", "floor", "reset", "modes"):
        alike &= (image.arrays[name] == image.arrays[name][:, :1]).all(axis=1)
    alike &= (image.weights == image.weights[:, :, :1]).all(axis=(1, 2))
    return np.where(random, kernels.STOCHASTIC, np.where(alike, kernels.EVEN, kernels.DETERMINISTIC)).astype(np.uint8)
