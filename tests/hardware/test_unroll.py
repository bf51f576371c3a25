"""Convolutions unrolled for the chips are those of torch, whichever way populations are stored."""

import numpy as np
import pytest
import torch

import spikesim as sim
from spikesim.errors import UnsupportedError
from spikesim.hardware.truenorth.synapses import synapses_of
from spikesim.hardware.unroll import unroll

WEIGHTS = np.random.default_rng(0).integers(1, 9, (6, 2, 3, 2)).astype(float)
OPTIONS = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
SOURCE, TARGET = (4, 5, 6), (6, 3, 4)


def last(shape):
    return (*shape[1:], shape[0])


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("chip", ["loihi", "truenorth"])
def test_unrolled_convolutions_are_those_of_torch(chip, channels_last):
    net = sim.Network()
    shapes = [last(shape) if channels_last else shape for shape in (SOURCE, TARGET)]
    source, target = (net.population(name, shape, sim.IF()) for name, shape in zip("ab", shapes, strict=True))
    projection = net.project(source, target, sim.Conv(WEIGHTS, channels_last=channels_last, **OPTIONS), delay=1.0)
    found = unroll(net, projection, dt=1.0, seed=0) if chip == "loihi" else synapses_of(net, projection)
    matrix = np.zeros((len(target), len(source)))
    np.add.at(matrix, (found.targets, found.sources), found.weights)
    x = np.random.default_rng(1).random(SOURCE)
    wanted = torch.nn.functional.conv2d(torch.tensor(x)[None], torch.tensor(WEIGHTS), **OPTIONS)[0].numpy()
    held = (np.moveaxis(value, 0, -1) if channels_last else value for value in (x, wanted))
    given, expected = (value.reshape(-1) for value in held)
    np.testing.assert_allclose(matrix @ given, expected, rtol=1e-12)


def test_other_structured_rules_are_refused():
    net = sim.Network()
    cells = net.population("cells", 4, sim.IF())
    projection = net.project(cells, net.population("others", 4, sim.IF()), sim.Along(np.eye(2), inner=2), delay=1.0)
    with pytest.raises(UnsupportedError, match="Along cannot be mapped"):
        unroll(net, projection, dt=1.0, seed=0)
    with pytest.raises(UnsupportedError, match="Along cannot be mapped"):
        synapses_of(net, projection)
