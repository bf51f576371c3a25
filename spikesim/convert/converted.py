"""The converted network: images in, spikes inside, predictions out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.convert.calibrate import calibrate
from spikesim.convert.cost import multiply_accumulates, synaptic_operations
from spikesim.convert.graph import Stage, linear_stages, run_stages
from spikesim.convert.lower import lower, population_name
from spikesim.convert.report import ConversionReport, LayerReport
from spikesim.description import checked_number, frozen_array, limits
from spikesim.errors import DescriptionError
from spikesim.network import Network
from spikesim.simulation import Simulation

PERCENTILE = limits(None, above=0.0, at_most=100.0, varies=False)


@dataclass(frozen=True)
class SpikingResult:
    """What a converted network did with some images.

    outputs: float64 (steps, images, classes), the output after each step; spike_counts: for each spiking layer int64
    (images, neurons); spikes: int64 (images,), their sums; synaptic_operations: int64 (images,), additions caused by
    spikes; seconds: wall time.
    """

    outputs: np.ndarray
    spike_counts: dict[str, np.ndarray]
    spikes: np.ndarray
    synaptic_operations: np.ndarray
    seconds: float

    @property
    def predictions(self) -> np.ndarray:
        """The class with the largest output after the last step, int64 (images,)."""
        return self.outputs[-1].argmax(axis=1)

    def accuracy(self, labels: Any) -> np.ndarray:
        """The share of right predictions after each step, float64 (steps,)."""
        labels = frozen_array(labels, "accuracy: labels", dtype=np.int64)
        if labels.shape != self.outputs.shape[1:2]:
            raise DescriptionError(f"accuracy: expected one label for each of {self.outputs.shape[1]} images, got shape {labels.shape}")
        return (self.outputs.argmax(axis=2) == labels).mean(axis=1)


@dataclass(frozen=True)
class ConvertedNetwork:
    """A spiking network made from a torch module: its description, a report, and a way to run it."""

    network: Network
    report: ConversionReport
    stages: tuple[Stage, ...]

    def run(self, images: Any, *, steps: int, engine: str = "cpu", progress: bool = True) -> SpikingResult:
        """Show each image for ``steps`` steps, every image from rest, side by side on all cores.

        images: (n, *input shape), as the module takes them. The first layer's output is given as a constant current, so it
        costs the multiply-accumulates of that layer once an image; all further layers see spikes only.
        """
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise DescriptionError(f"run: expected a whole number of steps from 1 on, got {steps!r}")
        images = _checked_images(images, "run: images")
        shape = self.stages[0].in_shape
        if images.shape[1:] != shape:
            raise DescriptionError(f"run: expected images of shape (n, {', '.join(map(str, shape))}), got {images.shape}")
        started = time.perf_counter()
        first = run_stages([replace(self.stages[0], spiking=False)], images).reshape(len(images), -1)
        simulation = Simulation(self.network, dt=1.0, engine=engine, threads=1, precision="float64", progress=progress)
        recordings = simulation.trials(float(steps), currents={population_name(self.stages[0]): first}, progress=progress)
        read_out = population_name(self.stages[-1])
        potentials = np.stack([recording.trace(read_out, "v").values for recording in recordings], axis=1)
        counts = {name: np.stack([recording.counts[name].values for recording in recordings]) for name in recordings[0].counts}
        return SpikingResult(
            outputs=potentials / np.arange(1, steps + 1)[:, None, None], spike_counts=counts,
            spikes=sum((c.sum(axis=1) for c in counts.values()), np.zeros(len(images), np.int64)),
            synaptic_operations=synaptic_operations(self.stages, list(counts.values()), len(images)),
            seconds=time.perf_counter() - started,
        )  # fmt: skip


def from_torch(module: nn.Module, calibration: Any, *, percentile: float = 99.9) -> ConvertedNetwork:
    """Convert a trained feed-forward torch module into integrate-and-fire neurons with rate coding.

    calibration: images like those to come, (n, *input shape), from which the thresholds are taken: the given percentile
    of each channel's positive activations. Raises `ConversionError` that names every layer that cannot be converted.
    """
    percentile = checked_number(percentile, "from_torch: percentile", PERCENTILE)
    images = _checked_images(calibration, "from_torch: calibration")
    stages = linear_stages(module, images)
    calibrated = calibrate(stages, images, percentile=percentile)
    cost = multiply_accumulates(module, images)
    return ConvertedNetwork(lower(stages, calibrated), _report(stages, calibrated, cost, percentile), tuple(stages))


def _checked_images(images: Any, what: str) -> np.ndarray:
    """A batch of images as float64."""
    array = frozen_array(images.detach().cpu().double().numpy() if isinstance(images, torch.Tensor) else images, what)
    if array.ndim < 2 or len(array) == 0:
        raise DescriptionError(f"{what}: expected shape (n, *input shape) with at least one image, got {array.shape}")
    if not np.isfinite(array).all():
        raise DescriptionError(f"{what}: expected finite numbers, found nan or infinity")
    return array


def _report(stages: Sequence[Stage], calibrated: Sequence[Any], cost: dict[str, int], percentile: float) -> ConversionReport:
    layers = []
    for at, stage in enumerate(stages):
        found = calibrated[at] if at < len(calibrated) else None
        layers.append(LayerReport(
            layer=stage.name, population=population_name(stage), shape=stage.out_shape, macs=cost.get(stage.name, 0),
            thresholds=(float(found.thresholds.min()), float(found.thresholds.max())) if found else None,
            clipped=found.clipped if found else None,
        ))  # fmt: skip
    return ConversionReport(tuple(layers), percentile)
