"""A data set in two parts: one to learn from and one to be judged by."""

from dataclasses import dataclass

import numpy as np

UNLABELLED = -100  # of a target: counts neither in the loss nor in the accuracy


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: float32 (n, channels, height, width) in 0..1; labels: int64 (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def task(self) -> "Task":
        """To name the class of each image."""
        return Task(self.train_images, self.train_labels, self.test_images, self.test_labels)


@dataclass(frozen=True, eq=False)
class Task:
    """What a model learns and is judged by: inputs float32 (n, ...); targets (n, ...), int64 if they are classes.

    Without test targets the model's own outputs are what a copy of it is judged by.
    """

    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray | None
