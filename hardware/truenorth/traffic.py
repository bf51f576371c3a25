"""Traffic: how many packets pass each link of the mesh when they go first along x, then along y."""

import numpy as np

from spikesim.hardware.truenorth.image import ChipImage
from spikesim.hardware.truenorth.limits import CHIP_HEIGHT, CHIP_WIDTH


def link_traffic(image: ChipImage, packets: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """For each core the packets that leave it towards "east", "west", "south" and "north", int64 (width, height).

    packets: of each neuron, int64 (cores, 256); by default one for each destination. What leaves the chips is counted up to the
    border's links. Inside the chips the sum over all links is the number of hops.
    """
    delay = image.destinations[:, :, 3]
    number = (delay > 0).astype(np.int64) if packets is None else np.where(delay > 0, packets, 0)
    size = np.array([image.chips[0] * CHIP_WIDTH, image.chips[1] * CHIP_HEIGHT])
    core, neuron = np.nonzero(number)
    start = image.positions[core].astype(np.int64)
    end = start + image.destinations[core, neuron, :2]
    number = number[core, neuron]
    along_x = _runs(size, start[:, 1], start[:, 0], end[:, 0], number)  # in the row of the sender
    turned = np.clip(end[:, 0], 0, size[0] - 1)
    along_y = _runs(size[::-1], turned, start[:, 1], end[:, 1], number)  # in the column of the receiver
    return {"east": along_x[0].T, "west": along_x[1].T, "south": along_y[0], "north": along_y[1]}


def _runs(size: np.ndarray, lane: np.ndarray, start: np.ndarray, end: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What leaves each place of each lane upwards and downwards, (lanes, places), for packets from ``start`` to ``end``."""
    shape = (int(size[1]), int(size[0]) + 1)
    end = np.clip(end, -1, size[0])
    up, down = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rises, falls = end > start, end < start
    np.add.at(up, (lane[rises], start[rises]), number[rises])
    np.add.at(up, (lane[rises], end[rises]), -number[rises])
    np.add.at(down, (lane[falls], end[falls] + 1), number[falls])
    np.add.at(down, (lane[falls], start[falls] + 1), -number[falls])
    return up.cumsum(axis=1)[:, :-1], down.cumsum(axis=1)[:, :-1]
