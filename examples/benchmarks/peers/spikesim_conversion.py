"""spikesim's side of conversion.py: a converted network shown constant images; prints JSON.

python spikesim_conversion.py FOLDER [--images 1000] [--steps 64] [--threads 2]
"""

import time

import typer
from conversion_figures import Run, print_figures, read, use_cores

from spikesim.convert import from_torch


def main(folder: str, images: int = 1000, steps: int = 64, threads: int = 2) -> None:
    use_cores(threads)  # samples are run side by side on the cores that there are
    task = read(folder, images)
    started = time.perf_counter()
    snn = from_torch(task.module, task.calibration)
    snn.run(task.images[:threads], steps=2, progress=False)  # compiles
    built = time.perf_counter() - started
    result = snn.run(task.images, steps=steps, progress=False)
    spikes = {name: float(counts.sum(axis=1).mean()) for name, counts in result.spike_counts.items()}
    neurons = sum(counts.shape[1] for counts in result.spike_counts.values())
    seconds = result.seconds / (len(task.images) * steps)
    print_figures(task, Run(result.outputs, seconds, spikes, neurons), built=built,
                  synaptic_operations=float(result.synaptic_operations.mean()))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
