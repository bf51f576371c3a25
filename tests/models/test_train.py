"""The digits and the training: what the conversion tests stand on."""

import numpy as np
import pytest
import torch
from torch import nn

from spikesim.errors import DescriptionError, NameUnknownError
from spikesim.models.data import UNLABELLED, digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import AUGMENTATIONS, accuracy, train


@pytest.fixture(scope="module")
def split():
    return digits()


@pytest.fixture(scope="module")
def trained(split):
    return train(digits_lenet(), split.train_images, split.train_labels)


def rows(images):
    return {image.tobytes() for image in images}


def test_digits_are_all_there_scaled_and_typed(split):
    assert split.train_images.shape == (1347, 1, 8, 8)
    assert split.test_images.shape == (450, 1, 8, 8)
    for images, labels in ((split.train_images, split.train_labels), (split.test_images, split.test_labels)):
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert len(images) == len(labels)
        assert images.min() == 0.0
        assert images.max() == 1.0


def test_no_digit_is_in_both_parts(split):
    assert not rows(split.train_images) & rows(split.test_images)
    assert len(rows(split.train_images) | rows(split.test_images)) == 1797


def test_every_image_keeps_its_label(split):
    from sklearn.datasets import load_digits

    source = load_digits()
    known = {image.astype(np.float32).tobytes(): label for image, label in zip(source.images / 16.0, source.target, strict=True)}
    assert [known[image.tobytes()] for image in split.test_images] == split.test_labels.tolist()
    assert [known[image.tobytes()] for image in split.train_images] == split.train_labels.tolist()


def test_each_digit_has_the_same_share_in_both_parts(split):
    counts = np.bincount(split.test_labels)
    assert (np.abs(counts - 0.25 * (counts + np.bincount(split.train_labels))) < 1.0).all()


def test_the_seed_chooses_the_split(split):
    assert np.array_equal(digits().test_images, split.test_images)
    assert not np.array_equal(digits(seed=1).test_labels, split.test_labels)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(DescriptionError, match="test_fraction must lie between 0 and 1"):
        digits(test_fraction=fraction)


def test_lenet_learns_the_digits(trained, split):
    assert accuracy(trained, split.test_images, split.test_labels) >= 0.97


def test_training_twice_gives_the_same_weights(split):
    first, second = (train(nn.Sequential(digits_lenet(), nn.Dropout()), split.train_images, split.train_labels, epochs=2, seed=3)
                     for _ in range(2))  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = train(nn.Sequential(digits_lenet(), nn.Dropout()), split.train_images, split.train_labels, epochs=2, seed=4)
    assert not torch.equal(other[0][0].weight, first[0][0].weight)


def test_lenet_starts_from_its_seed():
    assert torch.equal(digits_lenet(seed=1)[0].weight, digits_lenet(seed=1)[0].weight)
    assert not torch.equal(digits_lenet(seed=1)[0].weight, digits_lenet(seed=2)[0].weight)


def test_the_state_of_torch_is_left_alone(split):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    module = train(digits_lenet(), split.train_images[:100], split.train_labels[:100], epochs=1, threads=threads + 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not any(part.training for part in module.modules())


def test_a_last_batch_of_one_does_not_stop_batch_norm(split):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    train(module, split.train_images[:65], split.train_labels[:65], epochs=1, batch=64)


def test_progress_is_told_the_mean_loss_of_each_epoch(split):
    told = []
    train(digits_lenet(), split.train_images, split.train_labels, epochs=3, progress=lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert told[0][1] < 2.5
    assert told[2][1] < told[0][1]


def test_accuracy_counts_hits_and_restores_the_mode(split):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout())
    module[2].eval()
    with torch.no_grad():
        module[1].weight.zero_()
        module[1].bias.copy_(torch.arange(10) == 7)
    assert accuracy(module, split.test_images, split.test_labels) == np.mean(split.test_labels == 7)
    assert module.training
    assert module[1].training
    assert not module[2].training


def test_bad_calls_are_refused(split):
    images, labels = split.train_images, split.train_labels
    with pytest.raises(DescriptionError, match="1347 images and 5 labels"):
        accuracy(digits_lenet(), images, labels[:5])
    with pytest.raises(DescriptionError, match="at least 1, got 0, 64 and 1"):
        train(digits_lenet(), images, labels, epochs=0)


def test_unlabelled_targets_do_not_count(split):
    """Training with half of the labels hidden is training without those images' loss: a row that is never shown is not learned."""
    labels = np.where(split.train_labels == 7, UNLABELLED, split.train_labels)
    module = train(digits_lenet(), split.train_images, labels, epochs=10)
    with torch.no_grad():
        answers = module(torch.as_tensor(split.test_images)).argmax(1).numpy()
    assert not (answers == 7).any()
    assert (answers == split.test_labels)[split.test_labels != 7].mean() > 0.9


@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_a_line_is_found_by_least_squares(optimizer, schedule):
    """With the mean squared error, for targets in float64 too, each optimizer and schedule finds the slope of a line."""
    x = np.linspace(-1.0, 1.0, 64, dtype=np.float32)[:, None]
    module = train(nn.Linear(1, 1), x, 3.0 * x.astype(np.float64) - 1.0, epochs=200, batch=16, rate=0.05,
                   loss="mse", optimizer=optimizer, schedule=schedule)  # fmt: skip
    assert module.weight.item() == pytest.approx(3.0, abs=1e-2)
    assert module.bias.item() == pytest.approx(-1.0, abs=1e-2)


def test_weight_decay_shrinks(split):
    norms = [sum(p.square().sum().item() for p in train(digits_lenet(), split.train_images, split.train_labels, epochs=3,
                                                       weight_decay=decay).parameters()) for decay in (0.0, 1.0)]  # fmt: skip
    assert norms[1] < 0.8 * norms[0]


def test_shifted_images_are_shifted():
    """Each result is one of the 25 shifts of its image or of the mirrored one, and all of these occur."""
    image = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(1))
    moved = AUGMENTATIONS["shift and flip"](image.expand(2000, -1, -1, -1))
    padded = nn.functional.pad(torch.stack([image, image.flip(2)]), [2] * 4)
    wanted = {padded[side, :, row : row + 7, column : column + 9].numpy().tobytes()
              for side in range(2) for row in range(5) for column in range(5)}  # fmt: skip
    assert moved.shape == (2000, 2, 7, 9)
    assert {found.contiguous().numpy().tobytes() for found in moved} == wanted


def test_half_precision_learns_and_leaves_float32_weights(split):
    module = train(digits_lenet(), split.train_images, split.train_labels, epochs=5, precision="bfloat16")
    assert all(p.dtype == torch.float32 and p.is_contiguous() for p in module.parameters())
    assert accuracy(module, split.test_images, split.test_labels) > 0.85


@pytest.mark.parametrize("keyword", ["loss", "optimizer", "schedule", "augmentation", "precision"])
def test_unknown_settings_are_named(split, keyword):
    with pytest.raises(NameUnknownError, match=f"train: unknown {keyword} 'other'"):
        train(digits_lenet(), split.train_images, split.train_labels, **{keyword: "other"})
