"""Fashion-MNIST's loader on small files, whole and damaged, and the tasks made of scikit-learn's data."""

import gzip
import os
import struct

import numpy as np
import pytest

from spikesim.errors import DataMissingError, DescriptionError, FileFormatError
from spikesim.models.data import (
    UNLABELLED,
    diabetes_progression,
    digit_anomalies,
    digit_graph,
    digit_paintings,
    digit_volumes,
    digits,
    fashion,
    fashion_mnist,
)

PIXELS = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([0, 9, 3, 3, 7], dtype=np.uint8)


def idx(array, *, magic=None, shape=None):
    shape = array.shape if shape is None else shape
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    for part in fashion.PARTS:
        write(tmp_path / f"{part}-images-idx3-ubyte.gz", idx(PIXELS))
        write(tmp_path / f"{part}-labels-idx1-ubyte.gz", idx(LABELS))
    return tmp_path


def write(path, content):
    path.write_bytes(gzip.compress(content))


def test_fashion_is_read_as_it_was_written(folder):
    split = fashion_mnist(folder)
    for images, labels in ((split.train_images, split.train_labels), (split.test_images, split.test_labels)):
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert np.array_equal(np.rint(255 * images[:, 0]), PIXELS)
        assert np.array_equal(labels, LABELS)
        assert images.max() <= 1.0


def test_the_folder_comes_from_the_environment(folder, tmp_path, monkeypatch):
    place = tmp_path / "root"
    place.mkdir()
    os.symlink(folder, place / "fashion-mnist")
    monkeypatch.setenv("SPIKESIM_DATA", str(place))
    assert len(fashion_mnist().train_labels) == 5


@pytest.mark.parametrize("given", [True, False])
def test_absent_files_are_told_how_to_get(tmp_path, monkeypatch, given):
    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path))
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "nowhere")
    with pytest.raises(DataMissingError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(tmp_path if given else None)


def test_one_absent_file_is_enough_to_say_so(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels"):
        fashion_mnist(folder)


@pytest.mark.skipif(not fashion.DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_original_set_is_as_published(monkeypatch):
    """7,000 of each class, six in seven to learn; mean and standard deviation of the pixels are 0.2860 and 0.3530."""
    monkeypatch.delenv("SPIKESIM_DATA", raising=False)
    split = fashion_mnist()
    assert np.array_equal(np.bincount(split.train_labels), np.full(10, 6000))
    assert np.array_equal(np.bincount(split.test_labels), np.full(10, 1000))
    assert split.train_images.mean() == pytest.approx(0.2860, abs=1e-4)
    assert split.train_images.std() == pytest.approx(0.3530, abs=1e-4)


WHOLE = gzip.compress(idx(PIXELS))
DAMAGED = {
    "wrong magic": (gzip.compress(idx(PIXELS, magic=b"\0\0\x0d\3")), "begins with 00000803, found 00000d03"),
    "other dimensions": (gzip.compress(idx(LABELS)), "begins with 00000803, found 00000801"),
    "empty": (gzip.compress(b""), "found nothing"),
    "no file at all": (b"", "found nothing"),
    "half a header": (gzip.compress(idx(PIXELS)[:9]), "ends within its header"),
    "too few pixels": (gzip.compress(idx(PIXELS)[:-1]), "3,919 follow"),
    "too many pixels": (gzip.compress(idx(PIXELS) + b"1"), "more follow"),
    "a size that lies a little": (gzip.compress(idx(PIXELS, shape=(6, 28, 28))), "4,704 bytes, but 3,920 follow"),
    "a size that lies much": (gzip.compress(idx(PIXELS, shape=(2**32 - 1,) * 3)), "cannot hold"),
    "no images": (gzip.compress(idx(PIXELS, shape=(0, 28, 28))), "cannot hold"),
    "other pixels": (gzip.compress(idx(PIXELS.reshape(5, 14, 56))), "28 x 28 pixels, found 14 x 56"),
    "another number": (gzip.compress(idx(PIXELS[:4])), "4 images but 5 labels"),
    "not gzip": (idx(PIXELS), "not a whole gzip file"),
    "cut off": (WHOLE[: len(WHOLE) // 2], "not a whole gzip file"),
    "a wrong checksum": (WHOLE[:-8] + bytes(4) + WHOLE[-4:], "not a whole gzip file"),
    "a flipped byte": (WHOLE[:40] + bytes([WHOLE[40] ^ 255]) + WHOLE[41:], "gzip file|follow"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_images_are_refused(folder, kind):
    content, message = DAMAGED[kind]
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        fashion_mnist(folder)
    assert str(folder) in str(caught.value)


def test_unknown_classes_are_refused(folder):
    write(folder / "train-labels-idx1-ubyte.gz", idx(LABELS + np.uint8(1)))
    with pytest.raises(FileFormatError, match=r"labels 0..9, found 10"):
        fashion_mnist(folder)


def test_the_slices_of_a_volume_add_up_to_the_image():
    task, split = digit_volumes(depth=4), digits()
    assert task.test_inputs.shape == (450, 1, 4, 8, 8)
    assert task.train_inputs.mean(axis=2) == pytest.approx(split.train_images, abs=1e-6)
    assert np.array_equal(task.test_targets, split.test_labels)
    assert (np.diff(task.test_inputs, axis=2) <= 0.0).all()


def test_anomalies_are_not_learned():
    task, split = digit_anomalies(anomaly=3), digits()
    assert len(task.train_inputs) == (split.train_labels != 3).sum()
    assert np.array_equal(task.test_targets, split.test_labels == 3)
    with pytest.raises(DescriptionError, match="one of the digits"):
        digit_anomalies(anomaly=10)


def test_latent_numbers_are_new_and_paintings_centred():
    task = digit_paintings()
    assert task.test_targets is None
    assert (task.train_targets.min(), task.train_targets.max()) == (-1.0, 1.0)
    assert not {z.tobytes() for z in task.train_inputs} & {z.tobytes() for z in task.test_inputs}
    assert task.test_inputs.std() == pytest.approx(1.0, abs=0.05)


def test_the_graph_joins_the_nearest():
    """Each node has its six nearest as neighbours; whoever is joined beyond has the node among its own six."""
    graph = digit_graph(nodes=200)
    assert np.array_equal(graph.adjacency, graph.adjacency.T)
    assert set(np.unique(graph.adjacency)) == {0.0, 1.0}
    distance = np.linalg.norm(graph.features[:, None] - graph.features, axis=2)
    np.fill_diagonal(distance, np.inf)
    sixth = np.sort(distance, axis=1)[:, 5]
    near = distance <= sixth[:, None] + 1e-6
    assert np.array_equal(graph.adjacency > 0, near | near.T)


def test_ten_nodes_of_each_digit_show_their_label():
    graph = digit_graph()
    assert np.array_equal(np.bincount(graph.labels[graph.labelled]), np.full(10, 10))
    task = graph.task()
    assert ((task.train_targets == UNLABELLED) != (task.test_targets == UNLABELLED)).all()
    assert np.array_equal(np.maximum(task.train_targets, task.test_targets)[0], graph.labels)
    with pytest.raises(DescriptionError, match="10 labelled < nodes"):
        digit_graph(nodes=50)


def test_diabetes_is_scaled_by_the_part_that_is_learned():
    task = diabetes_progression()
    assert (task.train_inputs.shape, task.test_targets.shape) == ((331, 10), (111, 1))
    for learned in (task.train_inputs, task.train_targets):
        assert learned.mean(axis=0) == pytest.approx(0.0, abs=1e-5)
        assert learned.std(axis=0) == pytest.approx(1.0, abs=1e-5)
    assert abs(task.test_inputs.mean()) > 1e-4
