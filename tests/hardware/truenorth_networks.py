"""Random chips, and the slow dense emulator that stands beside the real one in the tests."""

import numpy as np

from spikesim.hardware.truenorth.image import ChipImage, Inputs
from spikesim.hardware.truenorth.neuron import drawn, place, random_byte, random_half
from spikesim.neurons.truenorth import Rules
from tests.hardware.truenorth_equation import neuron_step


def random_image(rng, *, cores=3, rules=None, stochastic=False, lines=20, chips=(2, 1), simple=False):
    """An image with random everything, on cores around the border between two chips."""
    cell = rng.choice(30, cores, replace=False)
    positions = np.stack([61 + cell % 6, 10 + cell // 6], axis=1)
    density = rng.choice([0.02, 0.1, 0.5], (cores, 1, 1))
    bits = (rng.random((cores, 256, 256)) < density).astype(np.uint8)
    crossbar = np.packbits(bits, axis=2, bitorder="little").view(np.uint64)
    modes = rng.integers(0, 2, (cores, 256)) | rng.integers(0, 2, (cores, 256)) << 2 | rng.integers(0, 3, (cores, 256)) << 3
    if stochastic:
        modes |= rng.integers(0, 2, (cores, 256)) << 1 | rng.integers(0, 16, (cores, 256)) << 5
    alike = rng.random(cores) < (1.0 if simple else 0.3)  # all neurons of a core alike
    modes[alike] = modes[alike, :1]
    to = rng.integers(0, cores, (cores, 256))
    delay = np.where(rng.random((cores, 256)) < 0.1, 0, rng.integers(1, 16, (cores, 256)))
    offset = positions[to] - positions[:, None]
    out = rng.random((cores, 256)) < 0.1
    offset[out] = [200, 0]
    delay[out] = 1
    row = lambda low, high: rng.integers(low, high + 1, (cores, 256))  # noqa: E731
    arrays = {
        "positions": positions.astype(np.int16), "crossbar": crossbar, "axon_types": row(0, 3).astype(np.uint8),
        "weights": rng.integers(-40, 41, (cores, 4, 256)).astype(np.int16), "leak": row(-5, 5).astype(np.int16),
        "threshold": row(1, 150).astype(np.int32), "floor": row(0, 100).astype(np.int32),
        "reset": rng.choice([0, 1, -3, 7], (cores, 256)).astype(np.int32),
        "mask": (row(0, 255) * (stochastic and 1)).astype(np.uint16), "modes": modes.astype(np.uint16),
        "potential": row(-100, 100).astype(np.int32),
        "destinations": np.concatenate([offset, np.stack([row(0, 255), delay], axis=2)], axis=2).astype(np.int16),
    }  # fmt: skip
    for name in ("leak", "threshold", "floor", "reset"):
        arrays[name][alike] = arrays[name][alike, :1]
    targets = np.stack([rng.integers(0, lines, 60), rng.integers(0, cores, 60), rng.integers(0, 256, 60), rng.integers(0, 3, 60)], axis=1)
    core, neuron = np.nonzero(out)
    outputs = np.stack([np.arange(len(core)), core, neuron], axis=1)
    return ChipImage(arrays, {"in": Inputs(lines, targets)}, {"out": outputs}, chips, rules or Rules())


def dense_run(image, spikes, *, seed=0):
    """All spikes of all neurons, bool (ticks, cores, 256), by dense sums over every synapse; spikes: bool (ticks, lines)."""
    ticks, cores = len(spikes), image.cores
    synapses = np.unpackbits(image.crossbar.view(np.uint8), axis=2, bitorder="little").astype(np.int64).reshape(cores, 256, 256)
    weights = np.take_along_axis(
        image.weights.astype(np.int64), image.axon_types[:, :, None].astype(np.int64), axis=1
    )  # core, axon, neuron
    stochastic = (image.modes[:, None, :].astype(np.int64) >> (5 + image.axon_types[:, :, None].astype(np.int64))) & 1
    bits = np.zeros((ticks + 16, cores, 256), np.int64)
    for tick, line in np.argwhere(spikes):
        for _, core, axon, added in image.inputs["in"].targets[image.inputs["in"].targets[:, 0] == line]:
            bits[tick + added, core, axon] = 1
    where = {tuple(p): c for c, p in enumerate(image.positions.tolist())}
    v, fired = image.potential.astype(np.int64), np.zeros((ticks, cores, 256), bool)
    modes = image.modes.astype(np.int64)
    for tick in range(ticks):
        now = weights.copy()
        for c, axon in np.argwhere(bits[tick]):
            for j in np.flatnonzero(stochastic[c, axon] & synapses[c, axon]):
                now[c, axon, j] = drawn(now[c, axon, j], random_byte(np.uint64(seed), place(*image.positions[c], axon), j, tick))
        sums = (bits[tick][:, :, None] * synapses * now).sum(axis=1)
        leak, noise = image.leak.astype(np.int64), np.zeros((cores, 256), np.int64)
        for c, j in np.argwhere(modes & 2):
            leak[c, j] = drawn(leak[c, j], random_byte(np.uint64(seed), place(*image.positions[c], 256), j, tick))
        for c, j in np.argwhere(image.mask):
            noise[c, j] = random_half(np.uint64(seed), place(*image.positions[c], 257), j, tick) & int(image.mask[c, j])
        v, fired[tick] = neuron_step(v, sums, leak, modes & 1, noise, image.threshold.astype(np.int64), image.floor.astype(np.int64),
                                     image.reset.astype(np.int64), modes >> 3 & 3, 1 - (modes >> 2 & 1), image.rules)  # fmt: skip
        for c, j in np.argwhere(fired[tick]):
            dx, dy, axon, delay = image.destinations[c, j].tolist()
            target = where.get((int(image.positions[c, 0]) + dx, int(image.positions[c, 1]) + dy))
            if delay and target is not None:
                bits[tick + delay, target, axon] = 1
    return fired, v
