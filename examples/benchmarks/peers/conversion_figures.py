"""What conversion.py hands to each side, in a folder, and the figures that each prints."""

import json
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn


class Task(NamedTuple):
    """A trained module in eval mode; images (n, ...) to calibrate with, and to judge by: labels (n,), logits of the module (n, classes)."""

    module: nn.Module
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


class Run(NamedTuple):
    """outputs: (steps, n, classes), of each step the mean since the first; seconds an image and step; spikes an image, by layer."""

    outputs: np.ndarray
    seconds: float
    spikes: Mapping[str, float]
    neurons: int


def write(folder: str, task: Task) -> None:
    """Put the task into a folder."""
    torch.save(task.module, Path(folder) / "module.pt")
    np.savez(Path(folder) / "data.npz", **{name: value for name, value in task._asdict().items() if name != "module"})


def read(folder: str, images: int) -> Task:
    """The task in a folder, with so many images to judge by."""
    arrays = dict(np.load(Path(folder) / "data.npz"))
    module = torch.load(Path(folder) / "module.pt", weights_only=False)  # written by conversion.py just now
    return Task(module, arrays["calibration"], *(arrays[name][:images] for name in ("images", "labels", "logits")))


def use_cores(number: int) -> None:
    """Keep this process on so many cores, whatever starts threads in it."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])
    torch.set_num_threads(number)


def print_figures(task: Task, run: Run, *, built: float, **more: Any) -> None:
    """One line of JSON; accuracy and the relative error of the outputs after each step. built: seconds before the first image."""
    steps = len(run.outputs)
    error = [float(np.linalg.norm(outputs - task.logits) / np.linalg.norm(task.logits)) for outputs in run.outputs]
    print(json.dumps({
        "accuracy": accuracy(run.outputs, task.labels), "error": error, "ms_per_image_step": 1e3 * run.seconds,
        "spikes_per_layer": dict(run.spikes), "spikes_per_neuron_step": sum(run.spikes.values()) / (run.neurons * steps),
        "neurons": run.neurons, "build_time_s": built, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **more,
    }))  # fmt: skip


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> list[float]:
    """The share of right answers after each step."""
    return [float(np.mean(each.argmax(axis=1) == labels)) for each in outputs]
