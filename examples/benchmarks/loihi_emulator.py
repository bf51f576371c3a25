"""How fast the emulator of Loihi is: against Lava 0.10.0 on 1,000 and 20,000 neurons, and a full chip at 10 % activity.

Prints for each network milliseconds per step of both, measured in turns, and their ratio, without start and stop (Lava's start is given
beside), and steps per second of 131,072 compartments on 128 cores for each number of ``--threads``. ``--steps`` and ``--rounds`` change
how long it takes.
"""

import argparse
import os
import time

import numpy as np

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.loihi.emulator import Emulator
from spikesim.hardware.loihi.lava import run_lava
from spikesim.hardware.loihi.lava_form import lava_form
from spikesim.hardware.loihi.run_lava import circuit_of_image
from spikesim.machine import cores

NONE = np.empty(0, np.int64)


def recurrent(neurons: int, fan_out: int, seed: int = 0) -> sim.Network:
    """Neurons that fire by their bias, about one in a hundred each step, with random weights of both signs."""
    rng = np.random.default_rng(seed)
    net = sim.Network()
    lif = sim.LoihiLIF(du=1000.0, dv=32.0, vth=600.0, bias_mant=rng.integers(400, 800, neurons))
    cells = net.population("cells", neurons, lif, initial={"v": rng.integers(0, 38_000, neurons)})
    weights = 2.0 * rng.integers(-6, 7, neurons * fan_out)
    net.project(cells, cells, sim.FixedOutdegree(fan_out, multapses=False), weight=weights, delay=1.0)
    return net


def full_chip(seed: int = 0) -> sim.Network:
    """128 groups of 1,024 neurons, each with 64 synapses in its own group; a tenth fires in each step."""
    rng = np.random.default_rng(seed)
    cores, size, fan_out = 128, 1024, 64
    neurons = cores * size
    net = sim.Network()
    lif = sim.LoihiLIF(du=4095.0, dv=0.0, vth=8000.0, bias_mant=3200.0, bias_exp=4.0)  # ten steps from reset to threshold
    cells = net.population("cells", neurons, lif, initial={"v": rng.integers(0, 512_000, neurons)})
    sources = np.repeat(np.arange(neurons), fan_out)
    targets = sources // size * size + rng.integers(0, size, len(sources))
    net.project(cells, cells, sim.PairList(sources, targets), weight=rng.choice([-128.0, 128.0], len(sources)), delay=1.0)
    return net


def timed(image, steps: int, rounds: int, threads: int | None = None) -> tuple[float, float]:
    """(seconds per step, spikes per neuron and step) of the emulator, the median of ``rounds``."""
    emulator = Emulator(image, threads=threads)
    emulator.advance(3, NONE, NONE)
    seconds, spikes = [], 0
    for _ in range(rounds):
        started = time.perf_counter()
        (when, _), _, _ = emulator.advance(steps, NONE, NONE)
        seconds.append((time.perf_counter() - started) / steps)
        spikes += len(when)
    return float(np.median(seconds)), spikes / (rounds * steps * image.compartments)


def in_turns(neurons: int, fan_out: int, steps: int, rounds: int) -> str:
    """The emulator and Lava, one after the other, three times; the medians."""
    image = map_to(recurrent(neurons, fan_out), "loihi1", method="sequential", compare=False)
    form = lava_form(circuit_of_image(image), steps).network
    ours, theirs, start = [], [], []
    for _ in range(3):
        seconds, activity = timed(image, steps, rounds)
        began = time.perf_counter()
        (lava,) = run_lava([form], steps, traces=False, silence=300.0)
        start.append(time.perf_counter() - began - lava.seconds)
        ours.append(seconds)
        theirs.append(lava.seconds / (steps - 1))  # the first step, with which Lava starts, is not in its seconds
    emulator, lava_step = np.median(ours), np.median(theirs)
    return (f"{neurons:,} neurons, {neurons * fan_out:,} synapses, activity {activity:.1%}: emulator {1e3 * emulator:.4f} ms a step, "
            f"Lava {1e3 * lava_step:.3f} ms (and {np.median(start):.1f} s to start), {lava_step / emulator:.0f} times as long")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, cores()])
    given = parser.parse_args()
    for neurons, fan_out in ((1_000, 50), (20_000, 100)):
        print(in_turns(neurons, fan_out, given.steps, given.rounds), flush=True)
    image = map_to(full_chip(), "loihi1", cores=np.arange(128 * 1024) // 1024, compare=False)
    for threads in given.threads:
        seconds, activity = timed(image, given.steps, given.rounds, threads)
        print(f"full chip: {image.compartments:,} compartments on {image.cores} cores, {len(image.targets):,} synapses, activity "
              f"{activity:.1%}: {1.0 / seconds:.0f} steps a second on {threads} thread{'s' if threads > 1 else ''}")  # fmt: skip
    print("load average " + ", ".join(f"{load:.1f}" for load in os.getloadavg()))


if __name__ == "__main__":
    main()
