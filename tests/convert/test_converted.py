"""A converted network does what its description says: the spikes of a dense stepper, and in the limit what the module computes."""

import copy
import functools
import math
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spikesim.convert import from_torch
from spikesim.convert.calibrate import Calibrated, calibrate
from spikesim.convert.cost import fan_out, multiply_accumulates
from spikesim.convert.graph import linear_stages
from spikesim.convert.lower import lower
from spikesim.errors import ConversionError, DescriptionError, KindError, NameUnknownError, SpikesimError
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import accuracy, train
from spikesim.simulation import Simulation

NETS = {  # name: (module, shape of one input)
    "dense": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)), (6,)),
    "dense with batch norm": (lambda: nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 6), nn.BatchNorm1d(6),
                                                    nn.ReLU(), nn.Linear(6, 4), nn.BatchNorm1d(4)), (5,)),
    "one channel, one output": (lambda: nn.Sequential(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 1)), (4,)),
    "conv1d, groups": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3, padding=1, groups=2), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2),
                                             nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Flatten(),
                                             nn.Linear(18, 3)), (2, 10)),
    "conv2d, pooling": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2),
                                              nn.Conv2d(3, 4, (3, 2), padding=(1, 0), stride=(1, 2), bias=False), nn.ReLU(),
                                              nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(16, 5)), (1, 8, 8)),
    "conv2d, dilation, read out by a conv": (lambda: nn.Sequential(nn.Conv2d(2, 4, 2, groups=2), nn.ReLU(), nn.Conv2d(4, 4, 2, dilation=2),
                                                                   nn.ReLU(), nn.Conv2d(4, 2, 2, padding=1)), (2, 5, 5)),
    "conv3d, depthwise": (lambda: nn.Sequential(nn.Conv3d(2, 4, (2, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(4), nn.ReLU(),
                                                nn.AvgPool3d((1, 2, 2)), nn.Conv3d(4, 4, 2, padding=(1, 0, 1), groups=4), nn.ReLU(),
                                                nn.Flatten(), nn.Linear(36, 3)), (2, 3, 4, 4)),
}  # fmt: skip
every_net = pytest.mark.parametrize("name", NETS)


# ---- the oracle: dense matrices taken from the module, not from spikesim ---------------------------------------------


def segments(module):
    """The module cut behind each ReLU."""
    cut = [[]]
    for child in module.children():
        cut[-1].append(child)
        if isinstance(child, nn.ReLU):
            cut.append([])
    return [nn.Sequential(*part) for part in cut]


def activations(module, images):
    """What each segment gives, ReLU included, float64."""
    values, found = torch.as_tensor(np.array(images, np.float64)), []
    with torch.no_grad():
        for segment in segments(copy.deepcopy(module).double().eval()):
            values = segment(values)
            found.append(values.numpy())
    return found


def unrolled(module, shape):
    """The affine map of each segment without its ReLU: (matrix (inputs, outputs), offsets (outputs,))."""
    found = []
    with torch.no_grad():
        for segment in segments(copy.deepcopy(module).double().eval()):
            linear = nn.Sequential(*(child for child in segment if not isinstance(child, nn.ReLU)))
            size = math.prod(shape)
            offsets = linear(torch.zeros(1, *shape, dtype=torch.float64))
            matrix = linear(torch.eye(size, dtype=torch.float64).reshape(size, *shape)) - offsets
            found.append((matrix.reshape(size, -1).numpy(), offsets.reshape(-1).numpy()))
            shape = tuple(offsets.shape[1:])
    return found


def dense_steps(affine, thetas, images, steps, quanta=None):
    """v += W s theta + b, spike if v >= theta, v -= theta, from theta / 2: (outputs after each step, counts of each layer).

    thetas: one a neuron for each layer; quanta: of what W theta is a multiple, for each layer after the first.
    """
    (first, offsets), *rest = affine
    weights = [matrix * theta[:, None] for (matrix, _), theta in zip(rest, thetas, strict=True)]
    if quanta is not None:
        weights = [np.rint(w / q) * q for w, q in zip(weights, quanta, strict=True)]
    current = images.reshape(len(images), -1) @ first + offsets
    v = [np.tile(theta / 2, (len(images), 1)) for theta in thetas]
    counts = [np.zeros(x.shape, np.int64) for x in v]
    output, outputs = np.zeros((len(images), rest[-1][0].shape[1])), []
    for step in range(1, steps + 1):
        drift, jump = current, 0.0
        for layer, theta in enumerate(thetas):
            v[layer] = v[layer] + drift + jump
            spikes = v[layer] >= theta
            v[layer] = np.where(spikes, v[layer] - theta, v[layer])
            counts[layer] += spikes
            drift, jump = rest[layer][1], spikes.astype(np.float64) @ weights[layer]
        output = output + drift + jump
        outputs.append(output / step)
    return np.array(outputs), counts


def randomized(name, seed=0):
    """The module in float64 with random weights and batch statistics, in training mode."""
    module = NETS[name][0]().double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * (0.6 if tensor.ndim > 1 else 0.3))
            if key.endswith("running_var"):
                tensor.abs_().add_(0.5)
    return module


def dyadic(name, seed=0):
    """The module with weights that are multiples of 1/8, so that every sum is exact."""
    module, rng = randomized(name), np.random.default_rng(seed)
    with torch.no_grad():
        for key, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                values = rng.choice([-0.75, -0.5, -0.25, 0.125, 0.5, 0.75, 1.0], size=tuple(tensor.shape))
                values = rng.choice([0.25, 1.0, 4.0], size=tuple(tensor.shape)) if key.endswith("running_var") else values
                tensor.copy_(torch.as_tensor(values))
    for part in module.modules():
        part.eps = 0.0  # of batch norm, whose gain is then a power of two
    return module


def pictures(name, count=5, seed=3):
    """Images whose pixels are multiples of 1/8."""
    return np.random.default_rng(seed).integers(-8, 9, size=(count, *NETS[name][1])) / 8.0


def per_neuron(theta, shape):
    return np.repeat(theta, math.prod(shape[1:]))


def with_thresholds(snn, thresholds):
    return replace(snn, network=lower(snn.stages, [Calibrated(theta, 0.0) for theta in thresholds]))


@functools.cache
def exact(name, *, roomy):
    """(network, matrices, thetas) with power-of-two thresholds: arbitrary ones, or ``roomy``, above all activations of the pictures."""
    module, rng = dyadic(name), np.random.default_rng(7)
    hidden = activations(module, pictures(name))[:-1]
    largest = [np.moveaxis(values, 1, 0).reshape(values.shape[1], -1).max(axis=1) for values in hidden]
    thresholds = [2.0 ** np.ceil(np.log2(np.maximum(top, 0.125))) if roomy else rng.choice([0.125, 0.5, 1.0, 2.0], size=len(top))
                  for top in largest]  # fmt: skip
    snn = with_thresholds(from_torch(module, pictures(name)), thresholds)
    thetas = [per_neuron(theta, values.shape[1:]) for theta, values in zip(thresholds, hidden, strict=True)]
    return snn, unrolled(module, NETS[name][1]), thetas


def quanta_of(snn):
    """The quantum of each population that receives spikes."""
    return [cells.ports[0].quantum for cells in Simulation(snn.network, dt=1.0, engine="reference").program.cells][1:]


@every_net
def test_spikes_and_potentials_are_those_of_a_dense_stepper(name):
    """With power-of-two weights and thresholds nothing is rounded: every count and every potential is the same, after every step."""
    snn, affine, thetas = exact(name, roomy=False)
    rounding = Simulation(snn.network, dt=1.0, engine="reference").program.rounding
    assert all(entry.largest_error == 0.0 for entry in rounding)
    wanted, counts = dense_steps(affine, thetas, pictures(name), 23)
    result = snn.run(pictures(name), steps=23, progress=False)
    assert all(layer.sum() > 0 for layer in counts)
    np.testing.assert_array_equal(result.outputs, wanted)
    assert list(result.spike_counts) == [layer.population for layer in snn.report.layers[:-1]]
    for found, layer in zip(result.spike_counts.values(), counts, strict=True):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, layer)
    np.testing.assert_array_equal(result.spikes, sum(layer.sum(axis=1) for layer in counts))
    np.testing.assert_array_equal(result.predictions, wanted[-1].argmax(axis=1))


@every_net
def test_any_weights_are_stored_to_a_thousandth(name):
    """Stored weights are the nearest multiples of a quantum, a thousandth off at most; with these the dense stepper agrees."""
    module = randomized(name)
    images = np.random.default_rng(5).normal(size=(5, *NETS[name][1]))
    snn = from_torch(module, images, percentile=97.0)
    affine = unrolled(module, NETS[name][1])
    thetas = [snn.network.populations[layer.population].model.v_threshold.reshape(-1) for layer in snn.report.layers[:-1]]
    quanta = quanta_of(snn)
    for (matrix, _), theta, quantum in zip(affine[1:], thetas, quanta, strict=True):
        weights = matrix * theta[:, None]
        off = np.abs(np.rint(weights / quantum) * quantum - weights)
        assert (off <= np.minimum(0.5 * quantum, 1e-3 * np.abs(weights)) + 1e-12).all()
    wanted, counts = dense_steps(affine, thetas, images, 20, quanta)
    result = snn.run(images, steps=20, progress=False)
    for found, layer in zip(result.spike_counts.values(), counts, strict=True):
        np.testing.assert_array_equal(found, layer)
    np.testing.assert_allclose(result.outputs, wanted, rtol=0.0, atol=1e-12 * np.abs(wanted).max())


def test_rounded_weights_move_the_output_by_less_than_the_stated_bound():
    """With one hidden layer the spikes are exact, so the output is off by half a quantum for each of them at most."""
    rng = np.random.default_rng(0)
    module, images = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 4)).double(), rng.normal(size=(6, 12))
    snn = from_torch(module, images)
    theta = snn.network.populations["0"].model.v_threshold
    wanted, (counts,) = dense_steps(unrolled(module, (12,)), [theta], images, 32)
    result = snn.run(images, steps=32, progress=False)
    np.testing.assert_array_equal(result.spike_counts["0"], counts)
    off = np.abs(result.outputs[-1] - wanted[-1])
    assert (off <= counts.sum(axis=1)[:, None] * 0.5 * quanta_of(snn)[0] / 32 + 1e-12).all()
    assert off.max() > 0.0


@every_net
def test_both_engines_agree(name):
    """The reference engine gives the cpu engine's spikes and potentials, bit for bit."""
    snn = from_torch(randomized(name), pictures(name))
    cpu, reference = (snn.run(pictures(name, 2), steps=9, engine=engine, progress=False) for engine in ("cpu", "reference"))
    assert cpu.outputs.tobytes() == reference.outputs.tobytes()
    assert cpu.spike_counts.keys() == reference.spike_counts.keys()
    for key, counts in cpu.spike_counts.items():
        np.testing.assert_array_equal(counts, reference.spike_counts[key])
    np.testing.assert_array_equal(cpu.synaptic_operations, reference.synaptic_operations)


@every_net
def test_outputs_approach_the_module(name):
    """Below the thresholds the error is C / steps, with C from theta / 2 for each neuron passed on through the weights.

    Let D bound |theta n(t) - t a| of a layer, n the spikes and a the activation. For the first D = theta / 2. A later
    one gets an input that is off by |W| D at most, fires while its potential is at least theta and no more than once a
    step, and a <= theta: so its D is |W| D + theta / 2. The output sums without rounding: C = |W| D.
    """
    snn, affine, thetas = exact(name, roomy=True)
    wanted = activations(dyadic(name), pictures(name))[-1].reshape(len(pictures(name)), -1)
    constant = thetas[0] / 2
    for (matrix, _), theta in zip(affine[1:-1], thetas[1:], strict=True):
        constant = np.abs(matrix).T @ constant + theta / 2
    constant = np.abs(affine[-1][0]).T @ constant
    outputs = snn.run(pictures(name), steps=600, progress=False).outputs
    error = np.abs(outputs - wanted)
    assert (error <= constant / np.arange(1, 601)[:, None, None] + 1e-9).all()
    assert error[-100:].max() < 0.1 * error[:10].max()


# ---- costs -----------------------------------------------------------------------------------------------------------


@every_net
def test_synaptic_operations_are_the_synapses_of_each_spike(name):
    """Spike by spike, one operation for each nonzero weight that leads on from the neuron."""
    snn, affine, _ = exact(name, roomy=False)
    result = snn.run(pictures(name), steps=11, progress=False)
    wanted = np.zeros(len(pictures(name)), np.int64)
    for (matrix, _), counts in zip(affine[1:], result.spike_counts.values(), strict=True):
        synapses = [np.count_nonzero(row) for row in matrix]
        for image, neuron in np.argwhere(counts):
            for _ in range(counts[image, neuron]):
                wanted[image] += synapses[neuron]
    assert wanted.sum() > 0
    assert result.synaptic_operations.dtype == np.int64
    np.testing.assert_array_equal(result.synaptic_operations, wanted)


FAN_OUT = {  # name: (layer, shape of its input, synapses of each input)
    "padded": (nn.Conv1d(1, 2, 3, padding=1), (1, 4), [4, 6, 6, 4]),
    "without padding": (nn.Conv1d(1, 1, 3), (1, 5), [1, 2, 3, 2, 1]),
    "stride that skips the last": (nn.Conv1d(1, 1, 3, stride=2), (1, 6), [1, 1, 2, 1, 1, 0]),
    "dilation": (nn.Conv1d(1, 1, 2, dilation=2), (1, 5), [1, 1, 2, 1, 1]),
    "groups": (nn.Conv1d(2, 6, 1, groups=2), (2, 2), [3, 3, 3, 3]),
    "corner, edge, middle": (nn.Conv2d(1, 1, 3, padding=1), (1, 3, 3), [4, 6, 4, 6, 9, 6, 4, 6, 4]),
    "dense": (nn.Linear(3, 7), (3,), [7, 7, 7]),
}


@pytest.mark.parametrize("name", FAN_OUT)
def test_fan_out_at_borders(name):
    """Inputs at the border have the fewer synapses that fit."""
    layer, shape, wanted = FAN_OUT[name]
    stage = linear_stages(nn.Sequential(layer), np.zeros((1, *shape)))[0]
    assert fan_out(stage, math.prod(shape)).tolist() == wanted


LENET_MACS = {"conv1": 9_216, "conv2": 73_728, "dense1": 8_192, "dense2": 640}


def test_multiply_accumulates_of_the_lenet():
    """16 x 64 x 9, 32 x 16 x 144, 64 x 128 and 10 x 64, computed by hand."""
    module = digits_lenet()
    assert multiply_accumulates(module, np.zeros((3, 1, 8, 8))) == LENET_MACS
    report = from_torch(module, np.random.default_rng(0).random((4, 1, 8, 8))).report
    assert {layer.layer: layer.macs for layer in report.layers} == LENET_MACS
    assert report.macs == 91_776
    assert report.input_macs == 9_216
    assert not any(part._forward_hooks for part in module.modules())


def test_multiply_accumulates_with_groups_and_strides():
    """Each output of a convolution costs its kernel times the channels of its group."""
    module = nn.Sequential(nn.Conv1d(4, 6, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    assert multiply_accumulates(module, np.zeros((1, 4, 9))) == {"0": 6 * 4 * 3 * 2, "3": 48}


def test_multiply_accumulates_of_a_bare_layer():
    """A module that is one layer has that layer's cost."""
    assert from_torch(nn.Linear(7, 5), np.ones((2, 7))).report.macs == 35


def test_one_layer_costs_nothing_in_spikes():
    """Without a hidden layer there are no spikes: a zero for each image, and the output is the module's after each step."""
    module, images = nn.Sequential(nn.Linear(7, 5)).double(), np.random.default_rng(0).normal(size=(4, 7))
    result = from_torch(module, images).run(images, steps=3, progress=False)
    np.testing.assert_allclose(result.outputs, np.tile(activations(module, images)[0], (3, 1, 1)), rtol=1e-12)
    assert result.spike_counts == {}
    assert result.synaptic_operations.tolist() == [0, 0, 0, 0]
    assert result.spikes.tolist() == [0, 0, 0, 0]


# ---- calibration -----------------------------------------------------------------------------------------------------


@every_net
@pytest.mark.parametrize("percentile", [80.0, 99.9, 100.0])
def test_thresholds_are_percentiles_of_positive_activations(name, percentile):
    """Channel by channel; a channel without any takes its layer's; the share above them is reported, all neurons counted."""
    module = randomized(name)
    images = np.random.default_rng(1).normal(size=(20, *NETS[name][1]))
    snn = from_torch(module, images, percentile=percentile)
    for values, layer in zip(activations(module, images)[:-1], snn.report.layers, strict=False):
        channels = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        theta = np.array([np.percentile(c[c > 0], percentile) if (c > 0).any() else np.percentile(values[values > 0], percentile)
                          for c in channels])  # fmt: skip
        model = snn.network.populations[layer.population].model
        np.testing.assert_allclose(model.v_threshold, per_neuron(theta, values.shape[1:]), rtol=1e-12)
        np.testing.assert_allclose(layer.thresholds, (theta.min(), theta.max()), rtol=1e-12)
        clipped = np.mean(channels > theta[:, None] * (1 + 1e-12))
        assert layer.clipped == pytest.approx(clipped, abs=1.5 * len(theta) / channels.size if percentile == 100.0 else 1e-12)
        assert (layer.clipped > 0.0) == (percentile < 100.0) or percentile == 100.0
    assert snn.report.percentile == percentile
    assert snn.report.layers[-1].thresholds is None


def test_silent_channels_take_the_threshold_of_their_layer():
    """A channel that never fires gets the layer's percentile, a layer that never fires 1."""
    module = nn.Sequential(nn.Linear(1, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0], [-1.0], [4.0]]))
        module[2].weight.fill_(-1.0)
    images = np.array([[1.0], [2.0], [3.0], [4.0]])
    first, second = calibrate(linear_stages(module, images), images, percentile=50.0)
    assert first.thresholds.tolist() == [2.5, 4.0, 10.0]  # the layer has 1, 2, 3, 4, 4, 8, 12, 16
    assert first.clipped == 4 / 12
    assert second.thresholds.tolist() == [1.0, 1.0]
    assert second.clipped == 0.0


# ---- results ---------------------------------------------------------------------------------------------------------


def test_accuracy_after_each_step():
    """The share of images whose largest output is their label's, step by step."""
    snn, _, _ = exact("dense", roomy=False)
    result = snn.run(pictures("dense", 40), steps=8, progress=False)
    labels = np.arange(40) % 3
    wanted = [np.mean([int(np.argmax(outputs[k])) == labels[k] for k in range(40)]) for outputs in result.outputs]
    for given in (labels, labels.tolist(), torch.as_tensor(labels)):
        np.testing.assert_array_equal(result.accuracy(given), wanted)
    assert result.accuracy(result.predictions)[-1] == 1.0


def test_images_may_come_as_tensors():
    """Arrays, lists and tensors, with or without gradient, give the same."""
    snn, _, _ = exact("conv2d, pooling", roomy=False)
    images = pictures("conv2d, pooling", 2)
    wanted = snn.run(images, steps=4, progress=False).outputs
    for given in (images.tolist(), torch.as_tensor(images), torch.as_tensor(images).requires_grad_(), images.astype(np.float32)):
        np.testing.assert_array_equal(snn.run(given, steps=4, progress=False).outputs, wanted)


def test_images_do_not_see_each_other():
    """Every image starts from rest: alone or among others, in any order, it gives the same."""
    snn, images = exact("conv1d, groups", roomy=False)[0], pictures("conv1d, groups", 7)
    together = snn.run(images, steps=6, progress=False).outputs
    np.testing.assert_array_equal(snn.run(images[::-1], steps=6, progress=False).outputs, together[:, ::-1])
    np.testing.assert_array_equal(snn.run(images[4:5], steps=6, progress=False).outputs, together[:, 4:5])


def test_more_steps_go_on_from_fewer():
    """The first outputs of a long run are those of a short one."""
    snn, images = exact("dense", roomy=False)[0], pictures("dense")
    np.testing.assert_array_equal(snn.run(images, steps=12, progress=False).outputs[:5], snn.run(images, steps=5, progress=False).outputs)


@every_net
def test_converting_twice_gives_equal_networks(name):
    """Conversion draws nothing at random, and the module is left in its mode."""
    module = randomized(name).train()
    module[-1].eval()
    first, second = (from_torch(module, pictures(name)) for _ in range(2))
    assert first.network == second.network
    assert first.report == second.report
    assert module.training
    assert module[0].training
    assert not module[-1].training
    with torch.no_grad():
        module[0].weight.mul_(1.01)
    assert from_torch(module, pictures(name)).network != first.network


def test_a_converted_network_can_be_saved(tmp_path):
    """What was converted is a network like any other: read back from its file it is equal."""
    network = exact("conv3d, depthwise", roomy=False)[0].network
    network.save(tmp_path / "net.h5")
    assert type(network).load(tmp_path / "net.h5") == network


def test_the_report_prints_every_layer():
    """One line for each layer: population, shape, cost, thresholds."""
    report = from_torch(digits_lenet(), np.random.default_rng(0).random((10, 1, 8, 8)), percentile=99.0).report
    head, *lines = str(report).splitlines()
    assert head.split() == ["layer", "population", "shape", "MACs", "thresholds", "clipped"]
    assert len(lines) == len(report.layers) == 4
    for line, layer in zip(lines, report.layers, strict=True):
        assert line.startswith(f"{layer.layer} ")
        assert all(text in line for text in (layer.population, str(layer.shape), f"{LENET_MACS[layer.layer]:,}"))
        spiking = layer.thresholds is not None
        assert (f"{layer.thresholds[0]:.3g} .. {layer.thresholds[1]:.3g}" if spiking else "read out, no spikes") in line
        assert line.endswith(f"{100 * layer.clipped:.2f} %" if spiking else "no spikes")


# ---- bad input -------------------------------------------------------------------------------------------------------


def dense_net(**first):
    return nn.Sequential(nn.Linear(6, 5, **first), nn.ReLU(), nn.Linear(5, 3))


GOOD = np.random.default_rng(2).random((4, 6))
SPOILT = np.where(np.arange(6) == 2, np.nan, GOOD)


def run(images=GOOD, **options):
    return from_torch(dense_net(), GOOD).run(images, **({"steps": 2, "progress": False} | options))


def with_weight(value):
    module = dense_net()
    with torch.no_grad():
        module[0].weight[0, 0] = value
    return module


BAD = {  # name: (call, error, what the message says)
    "images of another shape": (lambda: run(np.zeros((4, 7))), DescriptionError, r"images of shape \(n, 6\), got \(4, 7\)"),
    "one image without a batch": (lambda: run(np.zeros(6)), DescriptionError, r"got \(6,\)"),
    "a number for images": (lambda: run(3.0), SpikesimError, "images"),
    "no images": (lambda: run(np.zeros((0, 6))), DescriptionError, r"got \(0, 6\)"),
    "text for images": (lambda: run("a.png"), KindError, "images"),
    "images of nan": (lambda: run(SPOILT), DescriptionError, "nan"),
    "images without end": (lambda: run(GOOD * np.inf), DescriptionError, "nan|inf"),
    "no steps": (lambda: run(steps=0), DescriptionError, "steps from 1 on, got 0"),
    "half a step": (lambda: run(steps=1.5), DescriptionError, "got 1.5"),
    "steps as flag": (lambda: run(steps=True), DescriptionError, "got True"),
    "steps as text": (lambda: run(steps="8"), DescriptionError, "got '8'"),
    "unknown engine": (lambda: run(engine="cpuu"), NameUnknownError, "did you mean 'cpu'"),
    "too few labels": (lambda: run().accuracy([1, 2, 0]), DescriptionError, "each of 4 images"),
    "one label": (lambda: run().accuracy(1), DescriptionError, "each of 4 images"),
    "labels as columns": (lambda: run().accuracy(np.zeros((4, 1))), DescriptionError, r"\(4, 1\)"),
    "ragged labels": (lambda: run().accuracy([[1], [2, 3], [0], [1]]), SpikesimError, "label"),
    "percentile 0": (lambda: from_torch(dense_net(), GOOD, percentile=0), DescriptionError, "more than 0, got 0"),
    "percentile above 100": (lambda: from_torch(dense_net(), GOOD, percentile=100.1), DescriptionError, "percentile"),
    "percentile nan": (lambda: from_torch(dense_net(), GOOD, percentile=math.nan), DescriptionError, "percentile"),
    "percentile as text": (lambda: from_torch(dense_net(), GOOD, percentile="99"), SpikesimError, "percentile"),
    "no module": (lambda: from_torch(lambda x: x, GOOD), KindError, r"torch\.nn\.Module"),
    "a class for a module": (lambda: from_torch(nn.Linear, GOOD), KindError, r"torch\.nn\.Module"),
    "unsupported layer": (lambda: from_torch(nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3)), GOOD), ConversionError, "1: GELU"),
    "max pooling": (lambda: from_torch(nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 2)),
                                       GOOD[:, None]), ConversionError, "2: MaxPool1d"),
    "calibration of another shape": (lambda: from_torch(dense_net(), np.zeros((4, 7))), ConversionError, "0: Linear fails"),
    "no calibration images": (lambda: from_torch(dense_net(), GOOD[:0]), DescriptionError, "at least one image"),
    "nothing to calibrate with": (lambda: from_torch(dense_net(), None), KindError, "calibration"),
    "calibration with nan": (lambda: from_torch(dense_net(), SPOILT), SpikesimError, "nan"),
    "calibration without end": (lambda: from_torch(dense_net(), GOOD * np.inf), SpikesimError, "inf|nan"),
    "a weight that is nan": (lambda: from_torch(with_weight(math.nan), GOOD), SpikesimError, "nan"),
    "a weight that is infinite": (lambda: from_torch(with_weight(math.inf), GOOD), SpikesimError, "inf|nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name):
    """Every mistake ends with an error of spikesim that says what was found."""
    call, error, said = BAD[name]
    with pytest.raises(error, match=said):
        call()


def test_a_hidden_layer_may_be_called_output():
    """Names in the module are the user's; the read-out's own name must not collide with them."""
    module = nn.Sequential(OrderedDict(output=nn.Linear(6, 5), relu=nn.ReLU(), head=nn.Linear(5, 3)))
    plain = nn.Sequential(module.output, module.relu, module.head)
    found, wanted = (from_torch(made, GOOD).run(GOOD, steps=5, progress=False).outputs for made in (module, plain))
    np.testing.assert_array_equal(found, wanted)


# ---- the whole of it -------------------------------------------------------------------------------------------------


def test_trained_digits_end_to_end():
    """A LeNet trained for a few epochs loses no more than two points on held-out digits after 16 steps."""
    data = digits()
    module = train(digits_lenet(), data.train_images, data.train_labels, epochs=12)
    ann = accuracy(module, data.test_images, data.test_labels)
    snn = from_torch(module, data.train_images)
    result = snn.run(data.test_images, steps=16, progress=False)
    reached = result.accuracy(data.test_labels)
    assert reached.shape == (16,)
    assert ann > 0.95
    assert reached[-1] >= ann - 0.02
    assert reached[0] < reached[-1]
    assert 0 < result.synaptic_operations.min()
    assert result.seconds > 0.0
