"""An image laid out for the emulator's kernels: compartments in tiles, the synapses of each source in one row for each block."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spikesim.errors import CapacityError
from spikesim.hardware.loihi.image import ChipImage, ranges
from spikesim.hardware.loihi.kernels import ALL, COUNT_BITS, LANE_BITS, PLAIN, TILE, fill_rows
from spikesim.plasticity import BOUNDS

MOST = 1 << COUNT_BITS  # compartments of a block, synapses of a piece
NEVER = 2**31 - 1  # a threshold that no potential reaches, for places without a compartment


class Tiles(NamedTuple):
    """Compartments, core by core in tiles of 64, the last of a core filled up.

    cells: int32, tile by tile its fields (see `spikesim.hardware.loihi.kernels`), 64 numbers each; begins: int32 (tiles,), the number in
    the image of the first compartment; shifts: int8 (lanes * tiles * 64,), how far a sum is shifted right; active: int64 (tiles,), a count.
    """

    cells: np.ndarray
    begins: np.ndarray
    shifts: np.ndarray
    active: np.ndarray


class Rows(NamedTuple):
    """Synapses by block and source: starts, int64 (blocks * sources + 1,); words, int32, see `spikesim.hardware.loihi.kernels.deliver`."""

    starts: np.ndarray
    words: np.ndarray
    sources: int


@dataclass(frozen=True)
class Layout:
    """What does not change while an image runs.

    blocks: int64 (blocks + 1,), the first tile of each; core_tiles: int64 (cores + 1,), of each core; place: int64 (compartments,), where
    in its tile's field a compartment is, as if tiles had one field; slots: steps that sums are kept for; widest: the most that the
    weights of one sign come to which a compartment may get in a step; learning: of each synapse that learns where its weight is in the
    words, taken as int16, its source, target compartment and port.
    """

    blocks: np.ndarray
    core_tiles: np.ndarray
    place: np.ndarray
    rows: Rows
    slots: int
    widest: int
    learning: tuple[np.ndarray, ...]


def layout_of(image: ChipImage, blocks: int) -> Layout:
    """The image in so many ``blocks`` of whole cores or more: a block has at most 65,536 compartments."""
    sizes = np.diff(image.core_starts)
    core_tiles = np.concatenate([[0], np.cumsum(-(-sizes // TILE))])
    core = np.repeat(np.arange(image.cores), sizes)
    place = TILE * core_tiles[core] + np.arange(image.compartments) - image.core_starts[core]
    first = _first_cores(core_tiles, blocks)
    rows, widest, learning = _rows(image, core_tiles, first)
    slots = 1 << int(image.run_delay.max(initial=0) + 1).bit_length()
    return Layout(core_tiles[first], core_tiles, place, rows, slots, widest, learning)


def _first_cores(core_tiles: np.ndarray, blocks: int) -> np.ndarray:
    """The first core of each block, and the number of cores."""
    cores, made = len(core_tiles) - 1, [0]
    wanted = np.searchsorted(core_tiles, core_tiles[-1] * np.arange(1, blocks + 1) // blocks).tolist()
    for end in wanted:
        while made[-1] < end:
            most = int(np.searchsorted(core_tiles, core_tiles[made[-1]] + MOST // TILE, side="right")) - 1
            if most == made[-1]:
                raise CapacityError(f"Emulator: core {most} has more than {MOST:,} compartments, which no chip has")
            made.append(min(most, end))
    return np.array(made if made[-1] == cores else [*made, cores], np.int64)


def _rows(image: ChipImage, core_tiles: np.ndarray, first: np.ndarray) -> tuple[Rows, int, tuple[np.ndarray, ...]]:
    """The axons' lists, unrolled in the order of blocks, sources, delays and lanes; the widest input; and what learns."""
    sources, axons = len(image.route_starts) - 1, image.routes
    block_of = np.searchsorted(first, np.arange(image.cores), side="right") - 1
    core = image.axon_core[axons]
    lists = image.axon_list[axons]
    number = np.diff(image.list_starts)[lists]
    runs = ranges(image.list_starts[lists], number)
    row = np.repeat(block_of[core] * sources + np.repeat(np.arange(sources), np.diff(image.route_starts)), number)
    place = np.repeat(TILE * (core_tiles[core] - core_tiles[first[block_of[core]]]) + image.axon_base[axons], number)
    home = np.repeat(image.core_starts[core] + image.axon_base[axons], number)
    head = image.run_delay[runs].astype(np.int64) << (COUNT_BITS + LANE_BITS) | image.port_lane[image.run_port[runs]] << COUNT_BITS
    order = np.lexsort((head, row))
    runs, row, place, head = (array[order] for array in (runs, row, place, head))
    new = (np.diff(row, prepend=-1) != 0) | (np.diff(head, prepend=-1) != 0)
    shift = np.maximum(image.port_exponent[image.run_port[runs]], 0)
    base = TILE * core_tiles[first[row // max(sources, 1)]]
    plastic = image.port_plastic[image.run_port[runs]]
    learns, bounds = plastic >= 0, np.array([*(BOUNDS[each.rule.sign] for each in image.plastic), (0, 0)], np.int64)[plastic]
    starts, words, widest, learned = fill_rows(
        (len(first) - 1) * sources, row, head, new, runs, image.run_starts, place, base, shift, image.targets, image.weights, learns,
        bounds, np.zeros((2, TILE * core_tiles[-1]), np.int64),
    )  # fmt: skip
    own = runs[learns]
    lengths = np.diff(image.run_starts)[own]
    to = np.repeat(home[order][learns], lengths) + image.targets[ranges(image.run_starts[own], lengths)]
    learning = learned, np.repeat(row[learns] % max(sources, 1), lengths), to, np.repeat(image.run_port[own], lengths)
    return Rows(starts, words, sources), int(widest), learning


def tiles_of(image: ChipImage, layout: Layout, parameters: dict[str, np.ndarray], plain: bool) -> Tiles:
    """The tiles at the start of a run; parameters: int64 (compartments,), by field in the order of the kernels."""
    fields, number = (PLAIN if plain else ALL) // TILE, int(layout.core_tiles[-1])
    cells = np.zeros((number, fields, TILE), np.int32)
    cells[:, list(parameters).index("threshold")] = NEVER
    if not plain:
        cells[:, list(parameters).index("low")], cells[:, list(parameters).index("interval")] = -NEVER, 1
    tile, inside = np.divmod(layout.place, TILE)
    for field, values in enumerate(list(parameters.values())[:fields]):
        cells[tile, field, inside] = values
    shifts = np.zeros((len(image.lanes), number * TILE), np.int8)
    shifts[:, layout.place] = image.lanes
    begins = np.zeros(number, np.int32)
    begins[tile[inside == 0]] = np.flatnonzero(inside == 0)
    return Tiles(cells.reshape(-1), begins, shifts.reshape(-1), np.zeros(number, np.int64))
