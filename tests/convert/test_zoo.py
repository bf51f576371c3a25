"""Every family of the zoo converts without an analog operator and does what its module does, whatever the weights."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from spikesim.convert import from_torch
from spikesim.convert.calibrate import RATE, SIGNED
from spikesim.convert.comparison import module_outputs
from spikesim.convert.score import relative_error
from spikesim.models import zoo

NAMES = [name for name in zoo.ZOO if name != "fashion_resnet20"]
SAMPLES, CALIBRATION, STEPS, LEVELS = 2, 64, 64, 256
ROUNDED = 5e-8  # by weights of 32 bits and by relays; a neuron at another level makes a difference of 1e-5 and more


@pytest.fixture(autouse=True)
def _one_thread():
    """More only wait for each other in nets as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained(name):
    """The module with its first weights, batch statistics of its data, what it is calibrated with, and some of that to look at."""
    task = zoo.entry(name).data()
    module, images = zoo.entry(name).build(), task.train_inputs[:CALIBRATION]
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = 1.0  # the statistics of this one batch
    with torch.no_grad():
        module.train()(torch.from_numpy(images))
    return module.eval(), images, images[-SAMPLES:]


def outputs(module, images):
    with torch.no_grad():
        return copy.deepcopy(module).double()(torch.from_numpy(images).double()).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_every_family_converts(name):
    """In rate coding within 2 %, in signed coding to the quantised network, which is near the module."""
    module, calibration, images = untrained(name)
    wanted = outputs(module, images)
    rate = from_torch(module, calibration, coding=RATE, burst=8, percentile=100.0)
    assert rate.report.analog == ()
    assert np.allclose(module_outputs(rate, images), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert relative_error(rate.run(images, steps=STEPS, progress=False).outputs[-1], wanted) < 0.02
    signed = from_torch(module, calibration, coding=SIGNED, levels=LEVELS, burst=LEVELS, percentile=100.0)
    assert signed.report.analog == ()
    settled, quantised = signed.run(images, steps=400, progress=False), signed.quantised(images)
    assert settled.ended.max() < 400
    assert np.abs(settled.outputs[-1] - quantised).max() < ROUNDED * np.abs(quantised).max()
    assert relative_error(quantised, wanted) < 0.03


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_plain_spikes_beside_those_of_relays_keep_the_precision_of_their_weights(name):
    """The engine, with 16-bit weights, is as exact as the dense stepper with its floats: relays' spikes are worth far less than others."""
    module, calibration, images = untrained(name)
    snn = from_torch(module, calibration)
    with torch.no_grad():
        dense = snn.stepper()(torch.from_numpy(images).double(), 32).numpy()
    wanted = outputs(module, images)
    assert relative_error(snn.run(images, steps=32, progress=False).outputs[-1], wanted) < 1.3 * relative_error(dense[-1], wanted)
