"""Tuning fits biases and first potentials to a number of steps."""

import numpy as np
import pytest
import torch

from spikesim.convert import from_torch
from spikesim.errors import DescriptionError
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import train

STEPS = 2


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def module(data):
    return train(digits_lenet(), data.train_images, data.train_labels, epochs=4).double()


def converted(module, data, **options):
    return from_torch(module, data.train_images[:300], steps=STEPS, **options)


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_the_outputs_of_few_steps_come_out_right_on_average(module, data, method):
    """On images it has not seen the mean error of each output falls to less than half; there is a node for each tuned bias."""
    images = torch.tensor(data.test_images[:200]).double()
    errors = []
    for tuned in (False, True):
        snn = converted(module, data, method=method, tuned=tuned)
        with torch.no_grad():
            errors.append((snn.stepper()(images, STEPS)[-1] - module(images)).mean(0).abs().max())
        assert sum(name.endswith(".tuned") for name in snn.graph.nodes) == 3 * tuned
    assert errors[1] < 0.5 * errors[0]


def test_the_engine_starts_where_tuning_says(module, data):
    """The dense stepper with the same tuned numbers gives the engine's outputs, up to a few spikes that rounding moves."""
    snn = converted(module, data, tuned=True)
    images = data.test_images[:8]
    with torch.no_grad():
        wanted = snn.stepper()(torch.tensor(images).double(), STEPS).numpy()
    found = snn.run(images, steps=STEPS, progress=False).outputs
    assert np.median(np.abs(found - wanted).max(axis=(0, 2))) < 1e-3 * np.abs(wanted).max()


def test_signed_coding_is_not_tuned(module, data):
    with pytest.raises(DescriptionError, match="signed coding settles to the quantised network by itself"):
        from_torch(module, data.train_images[:4], coding="signed", tuned=True)
