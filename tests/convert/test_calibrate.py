"""What a spike is worth: percentiles and least errors of a layer's channels, and their exceptions."""

import math

import numpy as np
import pytest
import torch

from spikesim.convert.calibrate import BURST, FINE, GRADED, OFF_TIES, RATE, SIGNED, Calibration, calibrate
from spikesim.convert.graph import Graph, Node, evaluate
from spikesim.convert.operators import Convolution, Full, Input, Pointwise, Product, Reshape
from spikesim.errors import DescriptionError

RNG = np.random.default_rng(2)
IMAGES = torch.from_numpy(np.concatenate([RNG.normal(size=(200, 12)), RNG.exponential(2.0, size=(100, 12))]))


def graph_of(*nodes, size=12):
    chain = [Node("image", Input(), (), (size,)), *nodes]
    return Graph({node.name: node for node in chain}, chain[-1].name)


def neuron(function="relu", shape=(12,), source="image", **parameters):
    return Node("neuron", Pointwise(function, parameters), (source,), shape)


def quantum(*nodes, images=IMAGES, **settings):
    graph = graph_of(*nodes)
    return calibrate(graph, images, Calibration(**settings))["neuron"]


def layer_and_conv(channels, space):
    """A layer that is convolved later, so that it has channels."""
    kernel = Convolution(np.ones((1, channels, 1)), (1,), (0,), (1,))
    return (neuron(), Node("shaped", Reshape(), ("neuron",), (channels, space)), Node("conv", kernel, ("shaped",), (1, space)))


@pytest.mark.parametrize("percentile", [50.0, 99.0, 100.0])
def test_thresholds_are_percentiles_of_the_positive_values_of_each_channel(percentile):
    found = quantum(*layer_and_conv(3, 4), percentile=percentile)
    values = np.maximum(IMAGES.numpy(), 0.0).reshape(-1, 3, 4)
    for channel in range(3):
        active = values[:, channel][values[:, channel] > 0.0]
        np.testing.assert_allclose(found.worth.reshape(3, 4)[channel], np.percentile(active, percentile), rtol=1e-12)
    worth = found.worth.reshape(3, 4)[None]
    assert found.clipped == pytest.approx(np.mean(values > worth * (1.0 + 1e-9)), abs=1e-12)
    assert (found.clipped == 0.0) == (percentile == 100.0)


def test_without_a_convolution_each_number_is_a_channel():
    found = quantum(neuron(), percentile=100.0)
    np.testing.assert_array_equal(found.worth, IMAGES.numpy().max(axis=0))
    assert found.worth.shape == (12,) and (found.least, found.most, found.burst) == (-np.inf, np.inf, 1)


def test_silent_channels_take_the_threshold_of_their_layer_and_silent_layers_one():
    images = IMAGES.clone()
    images[:, 4:8] = -images[:, 4:8].abs()
    found = quantum(*layer_and_conv(3, 4), images=images, percentile=90.0).worth.reshape(3, 4)
    active = images.numpy()[images.numpy() > 0.0]
    np.testing.assert_allclose(found[1], np.percentile(active, 90.0), rtol=1e-12)
    assert found[0, 0] != found[1, 0] != found[2, 0]
    for method in ("percentile", "mse"):
        silent = quantum(neuron(), images=-IMAGES.abs(), method=method)
        np.testing.assert_array_equal(silent.worth, 1.0)
        assert silent.clipped == 0.0


@pytest.mark.parametrize("method", ["percentile", "mse"])
@pytest.mark.parametrize("high", [0.5, 1e6])
def test_no_threshold_lies_above_the_ceiling_of_a_clamp(method, high):
    free = quantum(neuron(), method=method).worth
    found = quantum(neuron("clamp", low=0.0, high=high), method=method).worth
    assert (found <= high).all()
    if high > 1e3:
        np.testing.assert_array_equal(found, free)
    else:
        np.testing.assert_array_equal(found, high)


@pytest.mark.parametrize("coding", [RATE, SIGNED])
@pytest.mark.parametrize("threshold", [2.0, np.arange(1.0, 13.0)])
def test_quantised_activations_bring_their_own_threshold_and_levels(coding, threshold):
    found = quantum(neuron("qcfs", threshold=threshold, levels=4), coding=coding, levels=32)
    wanted = np.broadcast_to(threshold, 12)
    np.testing.assert_allclose(found.worth, wanted if coding == RATE else wanted / 4.0)
    assert coding == RATE or (found.least, found.most) == (0.0, 4.0)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_least_error_has_less_error_than_the_percentile(steps):
    values = IMAGES.clamp(min=0.0).numpy()

    def error(method):
        worth = quantum(neuron(), method=method, steps=steps).worth
        return np.mean((worth / steps * np.clip(np.floor(values * steps / worth + 0.5), 0, steps) - values) ** 2)

    assert error("mse") < 0.9 * error("percentile")


def test_signed_coding_has_levels_of_both_signs_where_values_have():
    above, both = (quantum(neuron(kind), coding=SIGNED, levels=16, burst=3, percentile=100.0) for kind in ("relu", "tanh"))
    assert (above.least, above.most, above.burst) == (0.0, np.inf, 3)
    assert (both.least, both.most) == (-np.inf, np.inf)
    np.testing.assert_allclose(both.worth * 16.0, np.abs(np.tanh(IMAGES.numpy())).max(axis=0), rtol=1e-12)


def test_nothing_is_clipped_inside_groups():
    """One clipped factor of a product, or one summand of a softmax, would change all others."""
    product = Node("neuron", Product(), ("image", "image"), (12,))
    for node in (product, neuron("exp"), neuron("square")):
        values = evaluate(graph_of(node), IMAGES)["neuron"].numpy()
        beyond = OFF_TIES if node is product else 1.0
        np.testing.assert_allclose(quantum(node, percentile=50.0).worth * GRADED, np.abs(values).max(axis=0) * beyond, rtol=1e-12)


@pytest.mark.parametrize("coding", [RATE, SIGNED])
def test_relays_have_a_fine_power_of_two(coding):
    graph = graph_of(neuron(), Node("full", Full(RNG.normal(size=(3, 12))), ("neuron",), (3,)))
    quanta = calibrate(graph, IMAGES, Calibration(coding=coding))
    for name in ("image", "full"):
        worth = quanta[name].relay
        largest = float(evaluate(graph, IMAGES)[name].abs().max())
        assert np.log2(worth).is_integer() and largest * FINE[coding] <= worth < 2.0 * largest * FINE[coding]
        assert (quanta[name].worth == worth).all() and quanta[name].burst == BURST[coding]


def test_batches_do_not_matter(monkeypatch):
    wanted = quantum(neuron()).worth
    monkeypatch.setattr("spikesim.convert.calibrate.BATCH", 7)
    np.testing.assert_array_equal(quantum(neuron()).worth, wanted)


@pytest.mark.parametrize(("node", "value"), [(neuron("reciprocal"), 0.0), (neuron("exp"), 1e4), (neuron("rsqrt"), -1.0)])
def test_values_that_are_not_finite_are_refused(node, value):
    images = IMAGES.abs() + 1.0
    images[5, 3] = value
    with pytest.raises(DescriptionError, match="calibration: neuron gives nan or infinity on the images"):
        quantum(node, images=images)
    assert math.isfinite(quantum(node, images=images[6:]).worth.max())
