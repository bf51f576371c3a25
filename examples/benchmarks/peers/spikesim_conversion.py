"""spikesim's side of conversion.py: a converted network shown constant images; prints JSON.

    python spikesim_conversion.py FOLDER [--recipe plain] [--images 1000] [--steps 64] [--threads 2] [--lengths 2,4,8]

A tuned recipe converts once for each of ``lengths``, numbers of steps, and is judged after as many; the others convert once.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import typer
from conversion_figures import Run, Task, print_figures, read, use_cores

from spikesim.convert import SpikingResult, from_torch


class Recipe(NamedTuple):
    """How `from_torch` converts; tuned: whether for a number of steps, which it is then told."""

    options: Mapping[str, Any]
    tuned: bool = False


RECIPES = {
    "plain": Recipe({}),
    "low": Recipe({"percentile": 99.0}),
    "tuned": Recipe({"method": "mse"}, tuned=True),
    "burst": Recipe({"burst": 4, "percentile": 100.0}),
    "burst_tuned": Recipe({"burst": 4, "percentile": 100.0}, tuned=True),
}


def main(folder: str, recipe: str = "plain", images: int = 1000, steps: int = 64, threads: int = 2, lengths: str = "") -> None:
    use_cores(threads)  # samples are run side by side on the cores that there are
    task = read(folder, images)
    chosen = RECIPES[recipe]
    shown = sorted({*map(int, filter(None, lengths.split(","))), steps}) if chosen.tuned else [steps]
    runs = [shown_for(after, task, chosen, threads) for after in shown]
    outputs: list[np.ndarray] = []
    for result, _, _ in runs:
        outputs.append(result.outputs[sum(map(len, outputs)) :])
    result, neurons, _ = runs[-1]  # the one for all steps has the other figures
    report(task, result, neurons, np.concatenate(outputs), sum(built for *_, built in runs))


def shown_for(steps: int, task: Task, recipe: Recipe, threads: int) -> tuple[SpikingResult, int, float]:
    """What a converted network does with the images in so many steps, its number of neurons, and the seconds it took to build."""
    started = time.perf_counter()
    more = {"tuned": True, "steps": steps} if recipe.tuned else {}
    snn = from_torch(task.module, task.calibration, **recipe.options, **more)
    snn.run(task.images[:threads], steps=2, progress=False)  # compiles
    built = time.perf_counter() - started
    result = snn.run(task.images, steps=steps, progress=False)
    return result, sum(len(snn.network.populations[name]) for name in result.spikes), built


def report(task: Task, result: SpikingResult, neurons: int, outputs: np.ndarray, built: float) -> None:
    """Print the figures; outputs: (steps, n, classes), the result's own unless other conversions had fewer steps."""
    steps = len(outputs)
    spikes = {name: float(each.mean()) for name, each in result.spikes.items()}
    run = Run(outputs, result.seconds / (len(task.images) * steps), spikes, neurons)
    print_figures(task, run, built=built, operations_per_step=float(result.total_operations.mean()) / steps)


if __name__ == "__main__":
    typer.run(main)
