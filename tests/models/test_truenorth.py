"""The ternary nets: trained on digits, mapped, and the same votes in torch, in whole numbers, on the engine and on the chip."""

import numpy as np
import pytest
import torch

import spikesim as sim
from spikesim.errors import DescriptionError
from spikesim.hardware import map_to
from spikesim.models.data import digits
from spikesim.models.truenorth import TernaryLayer, digits_ternary, fashion_ternary, ternary_network, train_ternary, votes_of

TICKS = 16


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def net(data):
    return train_ternary(digits_ternary(), data.train_images, data.train_labels)


def whole_votes(net, images):
    """The votes in numpy's whole numbers, from weights and thresholds alone."""
    spikes = (images.reshape(len(images), -1, 1) >= net.levels.numpy()).reshape(len(images), -1).astype(np.int64)
    for layer in net.layers:
        with torch.no_grad():
            weights, thresholds = layer.ternary().numpy().astype(np.int64), layer.thresholds().numpy().astype(np.int64)
        sums = np.stack([spikes[:, reads] @ block for reads, block in zip(layer.reads.numpy(), weights, strict=True)], axis=1)
        spikes = (sums >= thresholds).reshape(len(images), -1).astype(np.int64)
    return spikes.reshape(len(images), -1, net.classes).sum(axis=1)


def test_digits(data, net):
    """Ninety-five of a hundred held-out digits, on 64 cores at most, and the same votes everywhere."""
    images = data.test_images
    with torch.no_grad():
        votes = net.votes(torch.as_tensor(images)).numpy().astype(np.int64)
    assert (votes.argmax(axis=1) == data.test_labels).mean() >= 0.95
    assert np.array_equal(votes, whole_votes(net, images))
    network = ternary_network(net, images)
    steps = len(images) + len(net.layers) - 1
    engine = sim.Simulation(network, dt=1.0).run(float(steps), progress=False)
    image = map_to(network, "truenorth")
    chip = image.run(steps=steps)
    assert np.array_equal(votes_of(net, engine, len(images)), votes)
    assert np.array_equal(votes_of(net, chip, len(images)), votes)
    assert image.cores <= 64 and image.report.farthest < 64


def test_one_image_takes_three_ticks(data, net):
    """The first image's votes are complete after as many ticks as there are layers, far below 16."""
    network = ternary_network(net, data.test_images[:1])
    chip = map_to(network, "truenorth").run(steps=TICKS)
    with torch.no_grad():
        votes = net.votes(torch.as_tensor(data.test_images[:1])).numpy()
    assert np.array_equal(votes_of(net, chip, 1), votes) and len(net.layers) == 3


def test_gradients_pass_straight_through():
    layer = TernaryLayer(torch.arange(6).reshape(1, 6), 2)
    spikes = layer(torch.ones(3, 6))
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    spikes.sum().backward()
    assert layer.weight.grad is not None and layer.threshold.grad is not None
    assert set(layer.ternary().unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_groups_fit_a_core():
    with pytest.raises(DescriptionError, match="at most 127 inputs, two axons each, got 128"):
        TernaryLayer(torch.zeros(1, 128, dtype=torch.int64), 2)
    for net in (digits_ternary(), fashion_ternary()):
        assert all(layer.reads.shape[1] <= 127 for layer in net.layers)


def test_same_seed_same_net():
    a, b, c = digits_ternary(seed=1), digits_ternary(seed=1), digits_ternary(seed=2)
    assert torch.equal(a.layers[1].weight, b.layers[1].weight) and not torch.equal(a.layers[1].weight, c.layers[1].weight)
    assert torch.equal(a.layers[1].reads, b.layers[1].reads)
