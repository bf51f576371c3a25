"""Real data sets that come with an installed package, split into training and test parts."""

from dataclasses import dataclass

import numpy as np

from spikesim.errors import DescriptionError


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: float32 (n, channels, height, width) in 0..1; labels: int64 (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def digits(*, test_fraction: float = 0.25, seed: int = 0) -> Split:
    """The 1,797 handwritten digits of scikit-learn, images (n, 1, 8, 8), each digit in the same share on both sides.

    Source: Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI repository (its test part).
    A pixel counts the ink in a 4 x 4 block of the scan, 0..16, here divided by 16.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if not 0.0 < test_fraction < 1.0:
        raise DescriptionError(f"digits: test_fraction must lie between 0 and 1, got {test_fraction}")
    pixels, digit = load_digits(return_X_y=True)
    images = (np.asarray(pixels) / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = np.asarray(digit, dtype=np.int64)
    learn, check = train_test_split(np.arange(len(labels)), test_size=test_fraction, random_state=seed, stratify=labels)
    return Split(images[learn], labels[learn], images[check], labels[check])
