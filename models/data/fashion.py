"""Fashion-MNIST: 70,000 pictures of clothes in ten classes (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747; MIT licence)."""

import os
from pathlib import Path

import numpy as np

from spikesim.errors import DataMissingError, FileFormatError
from spikesim.models.data.idx import read_idx
from spikesim.models.data.split import Split

CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PARTS = ("train", "t10k")


def fashion_mnist(folder: str | Path | None = None) -> Split:
    """60,000 images to train with and 10,000 held out, (n, 1, 28, 28) in 0..1, from the original files.

    folder: where the four ``*-ubyte.gz`` files lie; by default $SPIKESIM_DATA/fashion-mnist, then the place of Debian's
    package dataset-fashion-mnist.
    """
    place = _folder(folder)
    (images, labels), (test_images, test_labels) = (_part(place, part) for part in PARTS)
    return Split(images, labels, test_images, test_labels)


def _folder(folder: str | Path | None) -> Path:
    root = os.environ.get("SPIKESIM_DATA")
    places = [Path(folder)] if folder is not None else [*([Path(root) / "fashion-mnist"] if root else []), DEBIAN]
    for place in places:
        if all(path.is_file() for part in PARTS for path in _files(place, part)):
            return place
    names = ", ".join(path.name for part in PARTS for path in _files(Path(), part))
    looked = " and ".join(str(place) for place in places)
    raise DataMissingError(
        f"Fashion-MNIST: not all of {names} found in {looked}. On Debian or Ubuntu: apt-get install dataset-fashion-mnist; "
        "elsewhere put the original files into $SPIKESIM_DATA/fashion-mnist or pass their folder"
    )


def _files(place: Path, part: str) -> tuple[Path, Path]:
    return place / f"{part}-images-idx3-ubyte.gz", place / f"{part}-labels-idx1-ubyte.gz"


def _part(place: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images_path, labels_path = _files(place, part)
    pixels, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if pixels.shape[1:] != (28, 28):
        raise FileFormatError(f"{images_path}: expected images of 28 x 28 pixels, found {pixels.shape[1]} x {pixels.shape[2]}")
    if len(pixels) != len(labels):
        raise FileFormatError(
            f"{place}: {len(pixels):,} images but {len(labels):,} labels in part {part!r}; the files are of different sets"
        )
    if labels.max() >= len(CLASSES):
        raise FileFormatError(f"{labels_path}: expected labels 0..{len(CLASSES) - 1}, found {labels.max()}")
    return pixels[:, None].astype(np.float32) / 255.0, labels.astype(np.int64)
