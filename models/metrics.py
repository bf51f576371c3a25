"""How well outputs do, by one number that grows with the quality.

Each metric is a function of outputs (n, ...), targets and inputs, so that a network and its copy are judged alike.
"""

import math
from collections.abc import Callable

import numpy as np

from spikesim.errors import DescriptionError
from spikesim.models.data.split import UNLABELLED

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def accuracy(outputs: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    """The share of logits (..., classes) whose largest is the one of their label (...)."""
    _same_shape(outputs[..., 0], targets)
    counted = targets != UNLABELLED
    return float((outputs.argmax(axis=-1) == targets)[counted].mean())


def explained_variance(outputs: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    """``R2 = 1 - sum (y - target)^2 / sum (mean target - target)^2``."""
    _same_shape(outputs, targets)
    return float(1.0 - ((outputs - targets) ** 2).sum() / ((targets.mean(axis=0) - targets) ** 2).sum())


def anomaly_detection(outputs: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    """The chance that an anomaly (target 1) is rebuilt with a larger mean squared error than another input (target 0).

    It is the area under the receiver operating characteristic (Hanley & McNeil 1982).
    """
    _same_shape(outputs, inputs)
    error = ((outputs - inputs) ** 2).reshape(len(inputs), -1).mean(axis=1)
    strange, usual = error[targets == 1], error[targets == 0]
    if len(strange) == 0 or len(usual) == 0:
        raise DescriptionError(f"AUROC: needs anomalies and others, got {len(strange)} and {len(usual)}; take more samples")
    above = (strange[:, None] > usual).mean() + 0.5 * (strange[:, None] == usual).mean()
    return float(above)


def signal_to_noise(outputs: np.ndarray, targets: np.ndarray, inputs: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of images in -1..1, whose peak is 2; infinite if they are the targets."""
    _same_shape(outputs, targets)
    error = float(((outputs - targets) ** 2).mean())
    return 10.0 * math.log10(4.0 / error) if error > 0.0 else math.inf


def _same_shape(outputs: np.ndarray, wanted: np.ndarray) -> None:
    if outputs.shape != wanted.shape:
        raise DescriptionError(f"outputs: expected one for each held-out target, shape {wanted.shape}, got {outputs.shape}")


METRICS: dict[str, Metric] = {"accuracy": accuracy, "R2": explained_variance, "AUROC": anomaly_detection, "PSNR": signal_to_noise}
