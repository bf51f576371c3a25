"""A full TrueNorth chip in the emulator: 4,096 cores, 1 M neurons, 256 M synapse sites, half of them set, at about 20 Hz.

The recurrent networks by which Merolla et al. (2014), Science 345:668, measured the chip: every neuron sends to one axon
drawn at random from all cores, with a random delay; each axon leads to half of the neurons of its core. Prints the ticks per
second beside the chip's 1,000, and the memory.

    python examples/benchmarks/truenorth_chip.py --threads 2
"""

import argparse
import resource
import time

import numpy as np

from spikesim.hardware.truenorth import ChipImage, Emulator
from spikesim.hardware.truenorth.limits import CHIP_WIDTH


def recurrent(cores: int = 4096, *, seed: int = 0, alike: bool = True) -> ChipImage:
    """Neurons that a leak of 1 drives to a threshold of 50; excitation and inhibition balance.

    alike: the neurons of all cores have the same parameters; otherwise their thresholds differ.
    """
    rng = np.random.default_rng(seed)
    shape = (cores, 256)
    positions = np.stack([np.arange(cores) % CHIP_WIDTH, np.arange(cores) // CHIP_WIDTH], axis=1)
    goal = rng.permutation(cores * 256)  # each axon has one source
    offset = positions[goal // 256] - np.repeat(positions, 256, axis=0)
    weights = np.empty((cores, 4, 256), np.int16)
    weights[:] = np.array([1, -1, 2, -2])[:, None]
    threshold = np.full(shape, 50) if alike else rng.integers(48, 53, shape)
    arrays = {
        "positions": positions.astype(np.int16), "crossbar": rng.integers(0, 2**64, (*shape, 4), dtype=np.uint64), "weights": weights,
        "axon_types": rng.integers(0, 4, shape).astype(np.uint8), "leak": np.ones(shape, np.int16), "threshold": threshold.astype(np.int32),
        "floor": np.full(shape, 10, np.int32), "reset": np.zeros(shape, np.int32), "mask": np.zeros(shape, np.uint16),
        "modes": np.zeros(shape, np.uint16), "potential": rng.integers(0, 50, shape).astype(np.int32),
        "destinations": np.column_stack([offset, goal % 256, rng.integers(1, 16, len(goal))]).astype(np.int16).reshape(*shape, 4),
    }  # fmt: skip
    return ChipImage(arrays, {}, {})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cores", type=int, default=4096)
    parser.add_argument("--ticks", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--unlike", action="store_true", help="thresholds differ from neuron to neuron")
    options = parser.parse_args()
    emulator = Emulator(recurrent(options.cores, alike=not options.unlike), threads=options.threads)
    emulator.run(steps=50)  # compiles the kernels
    rates = []
    before = emulator.activity
    for _ in range(options.repeats):
        started = time.perf_counter()
        emulator.run(steps=options.ticks)
        rates.append(options.ticks / (time.perf_counter() - started))
    after = emulator.activity
    ticks = after.ticks - before.ticks
    events = (after.synaptic_events - before.synaptic_events) / ticks
    print(f"{options.cores:,} cores, {options.threads} threads: median {np.median(rates):,.0f}, best {max(rates):,.0f} ticks/s")
    print(f"{np.median(rates) / 1000:.2f} of the chip's 1 kHz; {np.median(rates) * events / 1e9:.2f} billion synaptic events/s")
    print(f"rate {1e3 * (after.spikes - before.spikes) / ticks / options.cores / 256:.1f} Hz, {events / 1e6:.2f} M synaptic events a tick")
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at its highest")


if __name__ == "__main__":
    main()
