"""Handwritten digits of 8 x 8 pixels, and other tasks made of them.

Source: Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI repository (its test part), as it comes
with scikit-learn. A pixel counts the ink in a 4 x 4 block of the scan, 0..16, here divided by 16.
"""

from dataclasses import dataclass

import numpy as np

from spikesim.errors import DescriptionError
from spikesim.models.data.split import UNLABELLED, Split, Task


def digits(*, test_fraction: float = 0.25, seed: int = 0) -> Split:
    """The 1,797 handwritten digits of scikit-learn, images (n, 1, 8, 8), each digit in the same share on both sides."""
    from sklearn.model_selection import train_test_split

    if not 0.0 < test_fraction < 1.0:
        raise DescriptionError(f"digits: test_fraction must lie between 0 and 1, got {test_fraction}")
    images, labels = _all_digits()
    learn, check = train_test_split(np.arange(len(labels)), test_size=test_fraction, random_state=seed, stratify=labels)
    return Split(images[learn], labels[learn], images[check], labels[check])


def digit_volumes(*, depth: int = 4, seed: int = 0) -> Task:
    """The digits as volumes (n, 1, depth, 8, 8): the ink of a pixel fills its column from the front.

        voxel d = clip(depth pixel - d, 0, 1)

    So slice d shows what is darker than d / depth, and the slices' mean is the image.
    """
    split = digits(seed=seed)
    level = np.arange(depth, dtype=np.float32)[:, None, None]
    learn, check = (np.clip(depth * images[:, :, None] - level, 0.0, 1.0) for images in (split.train_images, split.test_images))
    return Task(learn, split.train_labels, check, split.test_labels)


def digit_anomalies(*, anomaly: int = 0, seed: int = 0) -> Task:
    """Images of all digits but one to rebuild; held out are images of all, with target 1 for those of the digit left out."""
    if anomaly not in range(10):
        raise DescriptionError(f"digit_anomalies: anomaly must be one of the digits 0..9, got {anomaly}")
    split = digits(seed=seed)
    known = split.train_images[split.train_labels != anomaly]
    return Task(known, known, split.test_images, (split.test_labels == anomaly).astype(np.int64))


def digit_paintings(*, latent: int = 16, held_out: int = 256, seed: int = 0) -> Task:
    """Images in -1..1 for a generator to imitate, and held-out latent numbers (n, latent, 1, 1), normally distributed."""
    images = 2.0 * digits(seed=seed).train_images - 1.0
    drawn = np.random.default_rng(seed).standard_normal((len(images) + held_out, latent, 1, 1)).astype(np.float32)
    return Task(drawn[: len(images)], images, drawn[len(images) :], None)


@dataclass(frozen=True, eq=False)
class Graph:
    """Features float32 (nodes, features), labels int64 (nodes,), a symmetric adjacency of 0 and 1, which nodes show their label."""

    features: np.ndarray
    labels: np.ndarray
    adjacency: np.ndarray
    labelled: np.ndarray

    def task(self) -> Task:
        """Name the class of every node, as one sample (1, nodes, ...); the labels of the other part are `UNLABELLED`."""
        shown, hidden = (np.where(mask, self.labels, UNLABELLED)[None] for mask in (self.labelled, ~self.labelled))
        return Task(self.features[None], shown, self.features[None], hidden)


def digit_graph(*, nodes: int = 800, neighbours: int = 6, labelled: int = 10, seed: int = 0) -> Graph:
    """Some digits, each joined to those nearest to it by Euclidean distance; ``labelled`` of each class show their label."""
    from sklearn.neighbors import kneighbors_graph

    images, labels = _all_digits()
    if not 10 * labelled < nodes <= len(labels) or not 0 < neighbours < nodes:
        raise DescriptionError(f"digit_graph: expected 10 labelled < nodes <= {len(labels)} and 0 < neighbours < nodes, "
                               f"got {labelled} labelled, {nodes} nodes and {neighbours} neighbours")  # fmt: skip
    chosen = np.random.default_rng(seed).permutation(len(labels))[:nodes]
    features, labels = images[chosen].reshape(nodes, 64), labels[chosen]
    near = np.asarray(kneighbors_graph(features, neighbours).todense(), dtype=np.float32)
    shown = np.zeros(nodes, dtype=bool)
    for digit in range(10):
        shown[np.flatnonzero(labels == digit)[:labelled]] = True
    return Graph(features, labels, np.maximum(near, near.T), shown)


def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    return (np.asarray(pixels) / 16.0).astype(np.float32).reshape(-1, 1, 8, 8), np.asarray(digit, dtype=np.int64)
