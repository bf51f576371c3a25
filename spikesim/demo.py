"""What `spikesim demo` does: the main job on real data, offline."""

import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from spikesim.convert import ConvertedNetwork, SpikingResult, from_torch
from spikesim.models.data import Split, digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.networks.vogels_abbott import cuba
from spikesim.models.train import accuracy, train
from spikesim.plot import accuracy_over_steps
from spikesim.run_file import print_rates
from spikesim.simulation import Simulation

STEPS = (4, 8, 16, 32)
console = Console()


def run_demo(out: Path, *, seed: int = 0) -> None:
    """Convert and run the digit classifier, run the balanced network, save a picture of each in ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    _digits(out / "accuracy.png", seed)
    _balanced(out / "raster.png", seed)


def _digits(picture: Path, seed: int) -> None:
    data = digits(seed=seed)
    console.print(f"Digits: {len(data.train_labels)} real handwritten digits to train with, {len(data.test_labels)} held out.")
    started = time.perf_counter()
    module = train(digits_lenet(), data.train_images, data.train_labels, seed=seed)
    console.print(f"A convolutional network was trained in {time.perf_counter() - started:.1f} s.")
    snn = from_torch(module, data.train_images)
    snn.run(data.test_images[:2], steps=2, progress=False)  # compiles the kernels, so that the times below are of running
    results = {steps: snn.run(data.test_images, steps=steps) for steps in STEPS}
    ann = accuracy(module, data.test_images, data.test_labels)
    console.print(_table(snn, results, data, ann))
    console.print(
        "Synaptic ops are additions caused by spikes, MACs multiply-accumulates.\n"
        "The SNN's MACs are its first layer, which turns the image into a current, once.\n"
    )
    longest = results[STEPS[-1]].accuracy(data.test_labels)
    accuracy_over_steps(longest, ann, title="Held-out digits, converted network").savefig(picture, dpi=120)
    console.print(f"Accuracy over steps: {picture}\n")


def _table(snn: ConvertedNetwork, results: dict[int, SpikingResult], data: Split, ann: float) -> Table:
    table = Table(title=f"{len(data.test_labels)} held-out digits; costs of one image")
    for name in ("network", "steps", "accuracy", "spikes", "synaptic ops", "MACs", "ms"):
        table.add_column(name, justify="left" if name == "network" else "right")
    table.add_row("ANN", "", f"{100 * ann:.1f} %", "", "", f"{snn.report.macs:,}", "")
    for steps, result in results.items():
        table.add_row("SNN", str(steps), f"{100 * result.accuracy(data.test_labels)[-1]:.1f} %", f"{result.total_spikes.mean():,.0f}",
                      f"{result.total_operations.mean():,.0f}", f"{snn.report.input_macs:,}",
                      f"{1e3 * result.seconds / len(data.test_labels):.2f}")  # fmt: skip
    return table


def _balanced(picture: Path, seed: int) -> None:
    net = cuba()
    console.print("Balanced network of Vogels & Abbott (2005): 4,000 neurons, 1 s of model time.")
    Simulation(cuba(neurons=100), dt=0.1).run(1.0)  # compiles the kernels
    started = time.perf_counter()
    simulation = Simulation(net, dt=0.1, seed=seed)
    built = time.perf_counter() - started
    started = time.perf_counter()
    recording = simulation.run(1000.0)
    console.print(f"Built in {built:.2f} s, run in {time.perf_counter() - started:.2f} s, "
                  f"{np.sum([len(s) for s in recording.spikes.values()]):,} spikes.")  # fmt: skip
    print_rates(recording)
    recording.raster().savefig(picture, dpi=120)
    console.print(f"Spike raster: {picture}")
