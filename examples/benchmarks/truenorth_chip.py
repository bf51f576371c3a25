"""A full TrueNorth chip in the emulator: 4,096 cores, 1 M neurons, 256 M synapse sites, half of them set, at about 20 Hz.

After the recurrent networks by which Merolla et al. (2014), Science 345:668, measured the chip (see
`spikesim.hardware.truenorth.recurrent`). Prints the ticks per second beside the chip's 1,000, and the memory.

    python examples/benchmarks/truenorth_chip.py --threads 2
"""

import argparse
import resource
import time

import numpy as np

from spikesim.hardware.truenorth import Emulator
from spikesim.hardware.truenorth.recurrent import recurrent_image


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cores", type=int, default=4096)
    parser.add_argument("--ticks", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--unlike", action="store_true", help="thresholds differ from neuron to neuron")
    options = parser.parse_args()
    emulator = Emulator(recurrent_image(options.cores, alike=not options.unlike), threads=options.threads)
    emulator.run(steps=50)  # compiles the kernels
    rates, used = [], time.process_time()
    before = emulator.activity
    for _ in range(options.repeats):
        started = time.perf_counter()
        emulator.run(steps=options.ticks)
        rates.append(options.ticks / (time.perf_counter() - started))
    after = emulator.activity
    ticks = after.ticks - before.ticks
    used = 1e3 * (time.process_time() - used) / ticks
    events = (after.synaptic_events - before.synaptic_events) / ticks
    print(f"{options.cores:,} cores, {options.threads} threads: median {np.median(rates):,.0f}, best {max(rates):,.0f} ticks/s")
    print(f"{np.median(rates) / 1000:.2f} of the chip's 1 kHz; {np.median(rates) * events / 1e9:.2f} billion synaptic events/s")
    print(f"processor time {used:.2f} ms a tick, of all threads together")
    print(f"rate {1e3 * (after.spikes - before.spikes) / ticks / options.cores / 256:.1f} Hz, {events / 1e6:.2f} M synaptic events a tick")
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB at its highest")


if __name__ == "__main__":
    main()
