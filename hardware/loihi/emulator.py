"""The emulator: runs a `ChipImage` bit for bit as the chip (and Lava) would, driven by spikes, counting what each core does."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spikesim.barrier import BARRIER, LINE
from spikesim.errors import DescriptionError
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.kernels import ALL, PLAIN, TILE, How, merge, run_blocks
from spikesim.hardware.loihi.layout import layout_of, tiles_of
from spikesim.hardware.loihi.learning import DRAWS, LavaDraws, keep, lava_seed, memory_of, tables_of
from spikesim.hardware.loihi.payload import strongest
from spikesim.machine import cores

NONE = np.empty(0, np.int64)
COMPARTMENTS_PER_THREAD = 32_768  # below this, threads wait for each other longer than they work
ROOM = 1 << 25  # spikes that one call into the kernel may list, or those of a step; they take memory when they occur
NARROW = 2**24 // 64  # input up to which u, once in its range, stays within 32 bits


@dataclass(frozen=True)
class Activity:
    """What happened in ``steps`` steps.

    spikes: int64 (sources,); axon_events: int64 (axons,), spikes that came in by each input axon; active: int64 (cores,),
    updates of compartments that received input or fired; updates: int64 (cores,), of all; learned: int64 (cores,), updates of
    synapses that learn, of which one end or both fired in an epoch.
    """

    steps: int
    spikes: np.ndarray
    axon_events: np.ndarray
    active: np.ndarray
    updates: np.ndarray
    learned: np.ndarray

    def synaptic_operations(self, image: ChipImage) -> np.ndarray:
        """Synapses that took part, int64 (cores,)."""
        lengths = np.diff(image.run_starts[image.list_starts])
        return np.bincount(image.axon_core, self.axon_events * lengths[image.axon_list], minlength=image.cores).astype(np.int64)


class Emulator:
    """The state of an image: u, v of each compartment (int32), what is under way, what was learned, and the counts so far.

    bias: int64 (compartments,), in place of the image's own. seed: of the rounding of traces and weights that learn. threads: by
    default as many as pay; the spikes do not depend on it, and where synapses learn one does it all. strongest: the largest size of
    the inputs' spikes.
    """

    def __init__(self, image: ChipImage, *, bias: np.ndarray | None = None, seed: int = 0, threads: int | None = None,
                 strongest: int = 1) -> None:  # fmt: skip
        check_threads(threads, "Emulator")
        self.image = image
        wanted = max(1, threads or min(cores(), image.compartments // COMPARTMENTS_PER_THREAD))
        self.layout = layout_of(image, wanted)
        self.threads = 1 if image.plastic else min(wanted, len(self.layout.blocks) - 1)
        self.tables = tables_of(image, *self.layout.learning)
        self.largest = int(np.diff(self.layout.blocks).max(initial=1)) * TILE  # compartments of a block
        self.longest = max(1, ROOM // (self.largest * len(self.layout.blocks)))  # steps of a call
        self.reset(bias, seed, strongest)

    def reset(self, bias: np.ndarray | None = None, seed: int = 0, strongest: int = 1) -> None:
        """Return to the start, with the image's own bias or another, and input up to another size."""
        self.strongest = strongest
        parameters = _parameters(self.image, bias)
        self.how = how = _kernel_for(parameters, self.layout.widest * strongest)
        self.tiles = tiles_of(self.image, self.layout, parameters, how.plain)
        self.sums = np.zeros(self.layout.slots * len(self.tiles.shifts), np.int32)
        self.spikes = np.zeros(len(self.image.route_starts) - 1, np.int64)
        self.step, self.seed = 0, np.uint64(seed)
        self.rows = self.layout.rows._replace(words=self.layout.rows.words.copy()) if self.image.plastic else self.layout.rows
        self.memory = memory_of(self.tables)
        self.draws = [LavaDraws(lava_seed(seed, k), each.rule.epoch) for k, each in enumerate(self.image.plastic)]
        self.samples = np.empty((0, len(self.tables.place)), np.int16)

    @property
    def u(self) -> np.ndarray:
        """The currents now, int32 (compartments,)."""
        return self.tiles.cells[self._cells(np.arange(self.image.compartments))]

    @property
    def v(self) -> np.ndarray:
        """The potentials now, int32 (compartments,)."""
        return self.tiles.cells[self._cells(np.arange(self.image.compartments)) + TILE]

    def advance(self, steps: int, sent_steps: np.ndarray, sent_sources: np.ndarray, traced: np.ndarray | None = None, *,
                sizes: np.ndarray | None = None, weights_every: int = 0) -> Any:  # fmt: skip
        """Run on; returns (steps, compartments) of all spikes, int64, and u and v of the ``traced`` compartments, int32 (steps, traced).

        sent_steps, sent_sources: int64, what input neurons send, in time order, steps counted as `step`, from 1 on. A spike below the
        lower threshold is given as ~compartment, a negative number. sizes: int32, of what is sent, all 1 by default. weights_every: after
        so many steps each the weights that learn are kept in ``samples``, int16 (steps // weights_every, synapses).
        """
        traced = np.empty(0, np.int64) if traced is None else traced
        sizes = np.ones(len(sent_steps), np.int32) if sizes is None else sizes
        if strongest(sizes) > self.strongest:
            raise DescriptionError(f"Emulator: got a spike of size {strongest(sizes)}, was made for sizes up to {self.strongest}; reset it "
                                   "with strongest=")  # fmt: skip
        sent = sent_steps, sent_sources, sizes
        self.samples = np.empty((steps // weights_every if weights_every else 0, len(self.tables.place)), np.int16)
        numbers = np.stack([each.next(steps) for each in self.draws], axis=1) if self.draws else np.empty((steps, 0, DRAWS))
        self.lesson = self.tables, self.memory, numbers, self.seed, weights_every, self.samples, self.step
        made, last = [(NONE, NONE, *np.empty((2, 0, len(traced)), np.int32))], self.step + steps
        with ThreadPoolExecutor(max(1, self.threads - 1)) as pool:
            while self.step < last:
                made.append(self._run(min(last - self.step, self.longest), sent, traced, pool))
        when, who, u, v = (np.concatenate(arrays) for arrays in zip(*made, strict=True))
        came = sent_sources[(sent_steps > last - steps) & (sent_steps <= last)]
        self.spikes += np.bincount(np.concatenate([np.maximum(who, ~who), came]), minlength=len(self.spikes))
        return (when, who), u, v

    def _run(self, steps: int, sent: tuple[np.ndarray, ...], traced: np.ndarray, pool: ThreadPoolExecutor) -> tuple:
        """Run on with all threads; returns steps and sources of all spikes, u and v."""
        blocks, lanes = self.layout.blocks, len(self.image.lanes)
        ring = self.layout.slots - 1, lanes, len(self.tiles.shifts) // lanes
        out, ends = np.empty((len(blocks) - 1, steps * self.largest), np.int32), np.zeros((len(blocks) - 1, steps + 1), np.int64)
        meeting = np.zeros((BARRIER + 1) * LINE, np.uint8)
        barrier = meeting.ctypes.data + -meeting.ctypes.data % LINE
        owner = np.searchsorted(blocks, self.layout.place[traced] // TILE, side="right") - 1
        traces = np.empty((2, steps, len(traced)), np.int32)

        def work(first: int, last: int) -> None:
            own = np.flatnonzero((owner >= first) & (owner < last))
            cells, trace = self._cells(traced[own]), np.empty((steps, 2 * len(own)), np.int32)
            run_blocks(first, last, self.threads, (steps, self.step), self.how, ring, blocks, self.tiles, self.rows, self.sums,
                       self.lesson, out, ends, *sent, np.concatenate([cells, cells + TILE]), trace, barrier)  # fmt: skip
            traces[:, :, own] = trace.reshape(steps, 2, -1).swapaxes(0, 1)

        shares = list(pairwise(np.linspace(0, len(blocks) - 1, self.threads + 1).astype(int).tolist()))
        others = [pool.submit(work, *share) for share in shares[1:]]
        work(*shares[0])
        for other in others:
            other.result()
        when, who = merge(out, ends)
        self.step += steps
        return when + self.step - steps + 1, who, *traces

    def _cells(self, compartments: np.ndarray) -> np.ndarray:
        """Where the u of these is; v is one field further."""
        tile, inside = np.divmod(self.layout.place[compartments], TILE)
        return tile * self.how.size + inside

    @property
    def weights(self) -> np.ndarray:
        """The weights that learn as they are now, int16 (synapses,), by projection, source and target."""
        sample = np.empty(len(self.tables.place), np.int16)
        keep(self.tables, self.rows.words.view(np.int16), sample)
        return sample

    @property
    def activity(self) -> Activity:
        """The counts so far."""
        image = self.image
        active = np.diff(np.concatenate([[0], np.cumsum(self.tiles.active)])[self.layout.core_tiles])
        events = np.empty(len(image.axon_list), np.int64)
        events[image.routes] = np.repeat(self.spikes, np.diff(image.route_starts))  # each axon has one source
        targets = np.flatnonzero(self.tables.side)
        home = np.searchsorted(image.core_starts, image.source_of_neuron[self.tables.neuron[targets]], side="right") - 1
        learned = np.bincount(home, self.memory.updates[targets], minlength=image.cores).astype(np.int64)
        return Activity(self.step, self.spikes.copy(), events, active, np.diff(image.core_starts) * self.step, learned)


def check_threads(threads: Any, what: str) -> None:
    """Raise for a number of threads that cannot be."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1):
        raise DescriptionError(f"{what}: threads must be a whole number from 1 on, got {threads!r}")


def _parameters(image: ChipImage, bias: np.ndarray | None) -> dict[str, np.ndarray]:
    """What the kernels take, in the order of their fields, int64 (compartments,) each; bias and thresholds as they act."""
    cells = image.cells
    interval = np.where(cells["interval"] > 0, cells["interval"], 1)
    offset = np.where(cells["interval"] > 0, cells["offset"] % interval, -1)
    low = np.maximum(64 * cells["vth_low"], -(2**30))
    return {"u": cells["u"], "v": cells["v"], "keep_u": 4095 - cells["du"], "keep_v": 4096 - cells["dv"],
            "bias": cells["bias"] if bias is None else bias, "threshold": 64 * cells["vth"], 
            "low": low, "period": cells["refractory"], "held": np.zeros_like(low), "soft": cells["soft"],
            "interval": interval, "offset": offset}  # fmt: skip


def _kernel_for(parameters: dict[str, np.ndarray], widest: int) -> How:
    """Whether the update for plain neurons in 32 bits will do: no variants, and nothing that leaves 32 bits in a step."""
    p = parameters
    variants = any(p[name].any() for name in ("period", "soft")) or (p["offset"] >= 0).any() or (p["low"] > -(2**30)).any()
    largest = max(int(abs(p[name]).max(initial=0)) for name in ("u", "v", "bias"))
    plain = not variants and widest <= NARROW and largest < 2**30
    return How(plain, bool((p["offset"] >= 0).any()), PLAIN if plain else ALL)
