"""A converted network fires as its dense stepper does, and in the limit gives what the module gives."""

import copy
import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from spikesim.convert import finetune_qcfs, from_torch
from spikesim.convert.calibrate import FINE, RATE, SIGNED
from spikesim.convert.graph import inside, outside
from spikesim.convert.lower import lower
from spikesim.convert.qcfs import QCFS
from spikesim.convert.trace import read_out
from spikesim.errors import ConversionError, DescriptionError, KindError, NameUnknownError, SpikesimError
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import accuracy, train

CODINGS = RATE, SIGNED
NO_RELAYS = ["MLP", "conv-bn-relu-avgpool", "conv1d", "conv3d", "Linear + BN1d", "residual", "concat", "module used again",
             "shuffle, group, depthwise", "SiLU", "tanh and sigmoid", "softmax head", "generator", "super-resolution"]  # fmt: skip


def run(snn, images, steps, **options):
    return snn.run(images, steps=steps, progress=False, **options)


def module_of(snn, images):
    """What the module gives, float64."""
    return read_out(snn.graph, torch.as_tensor(images)).numpy()


def stepped(snn, images, steps):
    """Outputs after each step, and by node the number of spikes (images, neurons), of the dense stepper."""
    outputs, counts = [], {}
    with torch.no_grad():
        for output, sizes in snn.stepper().walk(inside(snn.graph, images), steps):
            outputs.append(outside(snn.graph, output).numpy())
            for name, size in sizes.items():
                counts[name] = counts.get(name, 0) + (size != 0).reshape(len(size), -1).long().numpy()
    return np.array(outputs), counts


def dyadic(module, seed=0):
    """The module with weights that are multiples of 1/8, and batch norm with factors that are, too."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for key, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                choice = [0.25, 1.0, 4.0] if key.endswith("running_var") else [-0.75, -0.5, -0.25, 0.125, 0.5, 0.75, 1.0]
                tensor.copy_(torch.as_tensor(rng.choice(choice, size=tuple(tensor.shape))))
    for part in module.modules():
        part.eps = 0.0  # of batch norm, whose gain is then a power of two
    return module.double()


def exact(snn):
    """The network with thresholds that are powers of two, so that nothing is rounded."""
    quanta = {name: replace(found, worth=2.0 ** np.round(np.log2(found.worth))) for name, found in snn.quanta.items()}
    return replace(snn, quanta=quanta, lowered=lower(snn.graph, quanta, coding=snn.coding))


def pictures(shape, count=3, seed=3):
    """Images whose pixels are multiples of 1/8."""
    return np.random.default_rng(seed).integers(-8, 9, size=(count, *shape)) / 8.0


# ---- the dense stepper -----------------------------------------------------------------------------------------------


def check_spike_for_spike(module, shape, coding, steps=17, **options):
    images = pictures(shape)
    snn = exact(from_torch(module, pictures(shape, 20, seed=1), coding=coding, **options))
    if coding == SIGNED and snn.lowered.relays:  # which pass large changes on over some steps: the same where both have settled
        found = run(snn, images, 200, engine="reference", counts=True)
        assert (found.ended < 200).all()
        np.testing.assert_array_equal(found.outputs[-1], stepped(snn, torch.from_numpy(images), 200)[0][-1])
        return snn, found
    found = run(snn, images, steps, engine="reference", counts=True)
    outputs, counts = stepped(snn, torch.from_numpy(images), steps)
    np.testing.assert_array_equal(found.outputs, outputs)
    assert found.counts.keys() == counts.keys()
    for name, count in counts.items():
        np.testing.assert_array_equal(found.counts[name], count)
        np.testing.assert_array_equal(found.spikes[name], count.sum(axis=1))
    return snn, found


LAYERS = {  # name: a layer for (channels, height, width) that keeps numbers dyadic
    "conv": lambda c, h, w, k: nn.Conv2d(c, k, (min(2, h), min(3, w)), padding=(1, 0)),
    "grouped": lambda c, h, w, k: nn.Conv2d(c, c * k, 1, groups=c),
    "transposed": lambda c, h, w, k: nn.ConvTranspose2d(c, k, 2, 2),
    "norm": lambda c, h, w, k: nn.BatchNorm2d(c),
    "pool": lambda c, h, w, k: nn.AvgPool2d((1, 2 if w > 1 else 1)),
    "max": lambda c, h, w, k: nn.MaxPool2d((1, 2 if w > 1 else 1)),
    "relu": lambda c, h, w, k: nn.ReLU(),
    "leaky": lambda c, h, w, k: nn.LeakyReLU(0.25),
    "clamp": lambda c, h, w, k: nn.Hardtanh(-0.5, 1.0),
}


@settings(max_examples=10, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=5), coding=st.sampled_from(CODINGS), width=st.integers(1, 3),
       steps=st.integers(1, 12))  # fmt: skip
def test_spikes_and_outputs_are_those_of_the_stepper(names, coding, width, steps):
    """Any chain of layers with dyadic weights and thresholds: every count and every output is the same, after every step."""
    layers, x = [], torch.zeros(1, 2, 2, 4)
    for name in names:
        layers.append(LAYERS[name](*x.shape[1:], width).eval())
        x = layers[-1](x)
    module = dyadic(nn.Sequential(*layers, nn.Flatten(), nn.Linear(x.numel(), 2)))
    check_spike_for_spike(module, (2, 2, 4), coding, steps)


class Gate(nn.Module):
    """A product of two activations, and the larger of two, under one sum."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x):
        a, b = self.a(x).relu(), nn.functional.leaky_relu(self.b(x), 0.5)
        return self.head(a * b + torch.maximum(a, b - 0.5))


@pytest.mark.parametrize(("coding", "burst"), [(RATE, 1), (RATE, 3), (SIGNED, 1), (SIGNED, 3)])
def test_products_and_maxima_are_those_of_the_stepper(coding, burst, monkeypatch):
    monkeypatch.setattr("spikesim.convert.calibrate.OFF_TIES", 1.0)  # thresholds that are powers of two
    snn, found = check_spike_for_spike(dyadic(Gate()), (6,), coding, 40, burst=burst)
    assert all(count.any() for count in found.counts.values())
    assert snn.lowered.relays


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["MLP", "conv max-pool", "GCN", "SE gate"])
def test_engines_agree(name, coding, networks):
    """Relays, products, maxima and rectifiers: the same spikes and outputs on both engines."""
    net = networks(name)
    snn = net.converted(coding)
    cpu, reference = (run(snn, net.images[:2], 12, engine=engine, precision="float64", counts=True) for engine in ("cpu", "reference"))
    np.testing.assert_array_equal(cpu.outputs, reference.outputs)
    np.testing.assert_array_equal(cpu.ended, reference.ended)
    for field in ("counts", "spikes", "relayed", "synaptic_operations"):
        assert getattr(cpu, field).keys() == getattr(reference, field).keys()
        for key, values in getattr(cpu, field).items():
            np.testing.assert_array_equal(values, getattr(reference, field)[key])


@pytest.mark.parametrize(("coding", "own"), [(RATE, "float32"), (SIGNED, "float64")])
def test_the_precision_of_a_run(coding, own, networks):
    """Rates are run in float32, what settles in float64; the outputs of rates differ in the last digits."""
    net = networks("MLP")
    snn = net.converted(coding)
    plain, same, exact = (run(snn, net.images, 6, precision=precision).outputs for precision in (None, own, "float64"))
    np.testing.assert_array_equal(plain, same)
    np.testing.assert_allclose(plain, exact, rtol=1e-5, atol=1e-5)
    assert np.array_equal(plain, exact) == (own == "float64")


# ---- the module ------------------------------------------------------------------------------------------------------


def test_signed_coding_settles_to_the_quantised_network(network):
    """To the last digit where no relay rounds; else each relay is off by half of what its spike is worth, at most.

    A value may then lie on the other side of a step of its neuron: by as much as that moves the output, or more in later layers.
    """
    snn = network.converted(SIGNED)
    result = run(snn, network.images[:2], 150, engine="reference")
    assert (result.ended < 150).all()
    wanted = snn.quantised(network.images[:2])
    error, size = np.abs(result.outputs[-1] - wanted).max(), np.abs(wanted).max()
    if snn.lowered.relays:
        assert np.median(np.abs(result.outputs[-1] - wanted)) <= 8.0 * FINE[SIGNED] * size or error < 0.05 * size
    else:
        assert error <= 1e-7 * size


@pytest.mark.parametrize("name", NO_RELAYS)
def test_more_levels_come_nearer_to_the_module(name, networks):
    net = networks(name)
    few, many = (from_torch(net.module, net.images, coding=SIGNED, percentile=100.0, levels=levels) for levels in (8, 1024))
    wanted = module_of(few, net.images)
    coarse, fine = (np.linalg.norm(snn.quantised(net.images) - wanted) / np.linalg.norm(wanted) for snn in (few, many))
    assert fine < 0.05 * coarse + 1e-9 and fine < 2e-3


def test_rate_coding_comes_as_near_as_theory_says():
    """Where no neuron is clipped the error after t steps is C / t, with C from theta / 2 a neuron, passed on through the weights.

    Let D bound |theta n(t) - t a| of a layer with n spikes and activations a. For the first D = theta / 2. A later one gets an
    input that is off by |W| D at most and fires while its potential is at least theta: its D is |W| D + theta / 2. The output
    sums without rounding of its own: C = |W| D.
    """
    module = dyadic(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)))
    images = pictures((6,), 5)
    snn = from_torch(module, images, percentile=100.0)
    steps = 400
    constant = snn.quanta["1"].worth / 2.0
    for layer, threshold in (("2", snn.quanta["3"].worth), ("4", 0.0)):
        constant = np.abs(snn.graph.nodes[layer].operator.weights) @ constant + threshold / 2.0
    error = np.abs(run(snn, images, steps).outputs - module_of(snn, images))
    size = np.abs(module_of(snn, images)).max()
    assert (error <= constant / np.arange(1, steps + 1)[:, None, None] + 1e-3 * size).all()  # stored weights are off by 1e-3 at most
    assert error[-50:].max() < 0.1 * error[:5].max()


@pytest.mark.parametrize("name", ["conv-bn-relu-avgpool", "residual", "conv max-pool", "SE gate", "tanh and sigmoid", "softmax head"])
def test_rate_coding_approaches_the_module(name, networks):
    net = networks(name)
    snn = from_torch(net.module, net.images, percentile=100.0)
    wanted = module_of(snn, net.images)
    outputs = run(snn, net.images, 256).outputs
    errors = np.linalg.norm((outputs - wanted).reshape(256, -1), axis=1) / np.linalg.norm(wanted)
    assert errors[-1] < 0.02 and errors[-1] < 0.2 * errors[7]
    assert errors[127:].mean() < errors[31:64].mean() < errors[3:8].mean()


def test_a_quantised_network_is_exact_when_steps_are_levels():
    """With one layer of quantised rectifiers the spikes of ``levels`` steps are the activations (Bu et al. 2022)."""
    module = nn.Sequential(nn.Linear(6, 8), QCFS(4, torch.tensor(2.0)), nn.Linear(8, 3))
    dyadic(module)
    with torch.no_grad():
        module[1].threshold.fill_(2.0)
    snn = from_torch(module, pictures((6,), 6))
    with torch.no_grad():
        wanted = module(torch.from_numpy(pictures((6,), 6))).numpy()
    np.testing.assert_allclose(run(snn, pictures((6,), 6), 4).outputs[-1], wanted, rtol=1e-12)


def test_finetuning_then_conversion_on_digits():
    """Trained on four levels, a network loses little at four steps, and nothing once signed coding has settled."""
    data = digits()
    module = train(digits_lenet(), data.train_images, data.train_labels, epochs=8)
    ann = accuracy(module, data.test_images, data.test_labels)
    tuned = finetune_qcfs(module, (data.train_images, data.train_labels), levels=4, epochs=2)
    snn = from_torch(tuned, data.train_images[:200])
    reached = run(snn, data.test_images, 8).accuracy(data.test_labels)
    assert ann > 0.95 and reached[3] >= ann - 0.05 and reached[-1] >= ann - 0.03
    signed = from_torch(tuned, data.train_images[:200], coding=SIGNED)
    np.testing.assert_allclose(signed.quantised(data.test_images[:50]), module_of(signed, data.test_images[:50]), rtol=1e-9, atol=1e-9)


# ---- running ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlp():
    module = dyadic(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    return {coding: from_torch(module, pictures((6,), 20), coding=coding) for coding in CODINGS}


IMAGES = pictures((6,), 7)


@pytest.mark.parametrize("coding", CODINGS)
def test_results_have_the_stated_shapes(coding, mlp):
    result = run(mlp[coding], IMAGES, 40, counts=True)
    assert result.outputs.shape == (40, 7, 3) and result.outputs.dtype == np.float64
    assert result.ended.shape == result.total_spikes.shape == result.total_operations.shape == result.predictions.shape == (7,)
    assert {name: found.shape for name, found in result.counts.items()} == {"1": (7, 8)}
    assert set(result.spikes) == {"1"} and result.relayed == {}
    np.testing.assert_array_equal(result.synaptic_operations["1"], 3 * result.spikes["1"])
    np.testing.assert_array_equal(result.predictions, result.outputs[-1].argmax(axis=1))
    assert result.seconds > 0.0
    assert (result.ended == 40).all() == (coding == RATE)


@pytest.mark.parametrize("coding", CODINGS)
def test_chunks_order_threads_and_forms_of_images_do_not_matter(coding, mlp, monkeypatch):
    snn = mlp[coding]
    wanted = run(snn, IMAGES, 9, counts=True)
    for given_images in (IMAGES.tolist(), torch.as_tensor(IMAGES), torch.as_tensor(IMAGES).requires_grad_(), IMAGES.astype(np.float32)):
        np.testing.assert_array_equal(run(snn, given_images, 9).outputs, wanted.outputs)
    np.testing.assert_array_equal(run(snn, IMAGES[::-1], 9).outputs, wanted.outputs[:, ::-1])
    np.testing.assert_array_equal(run(snn, IMAGES, 5).outputs, wanted.outputs[:5])
    monkeypatch.setattr("spikesim.simulation.cores", lambda: 3)
    np.testing.assert_array_equal(run(snn, IMAGES, 9).outputs, wanted.outputs)
    monkeypatch.setattr("spikesim.convert.converted.MEMORY", 16 * 11 * 2)  # two images at once
    parts = run(snn, IMAGES, 9, counts=True)
    np.testing.assert_array_equal(parts.outputs, wanted.outputs)
    np.testing.assert_array_equal(parts.ended, wanted.ended)
    for field in ("counts", "spikes", "synaptic_operations"):
        for key, values in getattr(wanted, field).items():
            np.testing.assert_array_equal(getattr(parts, field)[key], values)


def test_an_image_ends_when_the_output_is_sure(mlp):
    full = run(mlp[RATE], IMAGES, 60)
    result = run(mlp[RATE], IMAGES, 60, confidence=0.5)
    ordered = np.sort(full.outputs, axis=2)
    sure = ordered[..., -1] - ordered[..., -2] >= 0.5
    first = np.where(sure.any(axis=0), sure.argmax(axis=0) + 1, 60)
    np.testing.assert_array_equal(result.ended, first)
    assert first.min() < first.max()
    for image, end in enumerate(result.ended):
        np.testing.assert_array_equal(result.outputs[:end, image], full.outputs[:end, image])
        np.testing.assert_array_equal(result.outputs[end:, image], np.broadcast_to(full.outputs[end - 1, image], (60 - end, 3)))
    assert (result.total_spikes <= full.total_spikes).all()


def test_accuracy_after_each_step(mlp):
    result, labels = run(mlp[RATE], IMAGES, 8), np.arange(7) % 3
    wanted = [np.mean([int(np.argmax(outputs[k])) == labels[k] for k in range(7)]) for outputs in result.outputs]
    for given_labels in (labels, labels.tolist(), torch.as_tensor(labels)):
        np.testing.assert_array_equal(result.accuracy(given_labels), wanted)
    assert result.accuracy(result.predictions)[-1] == 1.0


LINEAR = {"identity": nn.Identity, "softmax": lambda: nn.Softmax(1), "a layer": lambda: nn.Linear(6, 5), "flatten": nn.Flatten}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", LINEAR)
def test_without_neurons_the_output_is_the_modules_from_the_first_step(name, coding):
    snn = from_torch(LINEAR[name](), IMAGES, coding=coding)
    result = run(snn, IMAGES, 3, engine="reference")
    np.testing.assert_allclose(result.outputs, np.broadcast_to(module_of(snn, IMAGES), result.outputs.shape), rtol=1e-12)
    assert not result.total_spikes.any() and not result.total_operations.any()


class Analog(nn.Module):
    """A sine before the first neuron, a root after the last, and other shapes for both."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x):
        return torch.sqrt(self.head(self.layer(torch.cat([x.sin(), x], 1).sin()).relu()).relu() + 1.0)


@pytest.mark.parametrize("coding", CODINGS)
def test_analog_operators_before_and_after_are_applied(coding):
    module = dyadic(Analog())
    with pytest.raises(ConversionError, match="sqrt"):
        from_torch(module, IMAGES, coding=coding)
    snn = from_torch(module, IMAGES, coding=coding, allow_analog=["sin", "cat", "sqrt"], percentile=100.0)
    assert len(snn.report.analog) >= 3 and "analog by request" in str(snn.report)
    with torch.no_grad():
        wanted = module(torch.from_numpy(IMAGES)).numpy()
    result = run(snn, IMAGES, 200, engine="reference")
    np.testing.assert_allclose(result.outputs[-1], wanted, rtol=0.05)
    np.testing.assert_allclose(stepped(snn, torch.from_numpy(IMAGES), 200)[0][-1], result.outputs[-1], rtol=1e-2)
    if coding == SIGNED:
        np.testing.assert_allclose(result.outputs[-1], snn.quantised(IMAGES), rtol=1e-7)


@pytest.mark.parametrize("coding", CODINGS)
def test_softmax_is_applied_to_the_read_out(coding, networks):
    net = networks("softmax head")
    snn = from_torch(net.module, net.images, coding=coding)
    result = run(snn, net.images, 20, engine="reference")
    np.testing.assert_allclose(result.outputs.sum(axis=2), 1.0, rtol=1e-12)
    assert snn.report.outside == "softmax"
    bare = from_torch(net.module[:-1], net.images, coding=coding)
    outputs = torch.from_numpy(run(bare, net.images, 20, engine="reference").outputs)
    np.testing.assert_allclose(result.outputs, outputs.softmax(-1).numpy(), rtol=1e-12)


def test_the_stepper_has_gradients(mlp):
    stepper = mlp[RATE].stepper()
    stepper(torch.from_numpy(IMAGES), 4)[-1].square().sum().backward()
    gradients = [parameter.grad for parameter in stepper.parameters()]
    assert len(gradients) == 3 and all(gradient is not None and gradient.abs().sum() > 0.0 for gradient in gradients)


# ---- what is documented to be handled --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_precision_is_converted_in_float64(dtype):
    module = dyadic(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))).to(dtype)
    images = torch.from_numpy(IMAGES).to(dtype)
    wanted = from_torch(copy.deepcopy(module).double(), IMAGES)
    snn = from_torch(module, images)
    assert snn.network == wanted.network
    assert all(parameter.dtype == dtype for parameter in module.parameters())


def test_a_module_in_training_mode_is_converted_as_in_eval_mode_and_left_as_it_was():
    module = dyadic(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)))
    module.train()
    module[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    snn = from_torch(module, IMAGES)
    assert module.training and module[3].training and not module[1].training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert from_torch(copy.deepcopy(module).eval(), IMAGES).network == snn.network


def test_a_layer_without_activity_stays_silent():
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        module[0].bias.fill_(-100.0)
    for coding in CODINGS:
        result = run(from_torch(module, IMAGES, coding=coding), IMAGES, 5, engine="reference")
        assert not result.total_spikes.any()
        np.testing.assert_allclose(result.outputs[-1], np.broadcast_to(module[2].bias.detach().numpy(), (7, 3)), rtol=1e-6)


# ---- bad input -------------------------------------------------------------------------------------------------------


def net(**first):
    return nn.Sequential(nn.Linear(6, 5, **first), nn.ReLU(), nn.Linear(5, 3))


class Branching(nn.Linear):
    def forward(self, input):
        return super().forward(input) if input.sum() > 0 else input


GOOD = np.random.default_rng(2).random((4, 6))
SPOILT = np.where(np.arange(6) == 2, np.nan, GOOD)


def with_weight(value):
    module = net()
    with torch.no_grad():
        module[0].weight[0, 0] = value
    return module


def convert(**options):
    return from_torch(net(), GOOD, **options)


def ran(images=GOOD, coding=RATE, **options):
    return run(convert(coding=coding), images, **({"steps": 2, "engine": "reference"} | options))


BAD = {  # name: (call, error, what the message says)
    "images of another shape": (lambda: ran(np.zeros((4, 7))), DescriptionError, r"run: expected images of shape \(n, 6\), got \(4, 7\)"),
    "one image without a batch": (lambda: ran(np.zeros(6)), DescriptionError, r"run: images: expected shape .* got \(6,\)"),
    "a number for images": (lambda: ran(3.0), DescriptionError, "run: images: expected shape"),
    "no images": (lambda: ran(np.zeros((0, 6))), DescriptionError, r"at least one image, got \(0, 6\)"),
    "text for images": (lambda: ran("a.png"), KindError, "run: images: expected an array of numbers, got str"),
    "ragged images": (lambda: ran([[1.0], [1.0, 2.0]]), KindError, "run: images: expected an array of numbers"),
    "images of nan": (lambda: ran(SPOILT), DescriptionError, "run: images: expected finite numbers, found nan"),
    "images without end": (lambda: ran(GOOD * np.inf), DescriptionError, "found nan or infinity"),
    "images nowhere": (lambda: ran(torch.zeros(4, 6, device="meta")), KindError, "run: images: .* on the device meta"),
    "complex images": (lambda: ran(torch.zeros(4, 6, dtype=torch.complex64)), KindError, "run: images: expected real numbers"),
    "images of flags": (lambda: ran(np.ones((4, 6), bool)), KindError, "dtype bool"),
    "images to be quantised": (lambda: convert(coding=SIGNED).quantised(np.zeros((4, 7))), DescriptionError, "quantised: expected images"),
    "quantised in rate coding": (lambda: convert().quantised(GOOD), DescriptionError, "rate coding does not settle; convert with coding="),
    "no steps": (lambda: ran(steps=0), DescriptionError, "run: expected a whole number of steps from 1 on, got 0"),
    "half a step": (lambda: ran(steps=1.5), DescriptionError, "steps from 1 on, got 1.5"),
    "steps as flag": (lambda: ran(steps=True), DescriptionError, "got True"),
    "steps as text": (lambda: ran(steps="8"), DescriptionError, "got '8'"),
    "unknown engine": (lambda: ran(engine="cpuu"), NameUnknownError, "unknown engine 'cpuu'; did you mean 'cpu'"),
    "confidence 0": (lambda: ran(confidence=0.0), DescriptionError, "run: confidence: expected more than 0, got 0"),
    "confidence nan": (lambda: ran(confidence=math.nan), DescriptionError, "run: confidence: expected a number"),
    "confidence as text": (lambda: ran(confidence="high"), KindError, "run: confidence: expected a number, got 'high'"),
    "confidence in signed coding": (lambda: ran(coding=SIGNED, confidence=0.1), DescriptionError, "confidence is for rate coding"),
    "confidence of one number": (lambda: run(from_torch(nn.Linear(6, 1), GOOD), GOOD, 2, confidence=0.1), DescriptionError, "read-out"),
    "too few labels": (lambda: ran().accuracy([1, 2, 0]), DescriptionError, "one label for each of 4 images"),
    "one label": (lambda: ran().accuracy(1), DescriptionError, "one label for each of 4 images"),
    "labels as columns": (lambda: ran().accuracy(np.zeros((4, 1))), DescriptionError, r"\(4, 1\)"),
    "ragged labels": (lambda: ran().accuracy([[1], [2, 3], [0], [1]]), KindError, "accuracy: labels"),
    "labels between classes": (lambda: ran().accuracy([0.5, 1, 2, 0]), KindError, "not whole"),
    "labels of nan": (lambda: ran().accuracy([math.nan, 1, 2, 0]), KindError, "accuracy: labels"),
    "labels beyond the classes": (lambda: ran().accuracy([0, 1, 2, 3]), DescriptionError, "labels from 0 to 2, got 0 to 3"),
    "accuracy of images": (lambda: run(from_torch(nn.Unflatten(1, (2, 3)), GOOD), GOOD, 1, engine="reference").accuracy([0, 1, 1, 0]),
                           DescriptionError, r"expected outputs \(steps, images, classes\)"),
    "percentile 0": (lambda: convert(percentile=0), DescriptionError, "Calibration.percentile: expected more than 0, got 0"),
    "percentile above 100": (lambda: convert(percentile=100.1), DescriptionError, "percentile: expected at most 100, got 100.1"),
    "percentile nan": (lambda: convert(percentile=math.nan), DescriptionError, "percentile: expected a number"),
    "percentile as text": (lambda: convert(percentile="99"), KindError, "percentile: expected a number, got '99'"),
    "unknown coding": (lambda: convert(coding="rates"), NameUnknownError, "unknown coding 'rates'; did you mean 'rate'"),
    "unknown method": (lambda: convert(method="percentil"), NameUnknownError, "unknown method 'percentil'; did you mean 'percentile'"),
    "method is no name": (lambda: convert(method=["mse"]), NameUnknownError, r"unknown method \['mse'\]"),
    "no levels": (lambda: convert(levels=0), DescriptionError, "levels: expected at least 1, got 0"),
    "half a level": (lambda: convert(levels=2.5), KindError, "levels: expected a whole number, got 2.5"),
    "levels as flag": (lambda: convert(levels=True), KindError, "levels: expected a whole number, got True"),
    "no calibration steps": (lambda: convert(steps=0), DescriptionError, "steps: expected at least 1, got 0"),
    "negative burst": (lambda: convert(burst=-1), DescriptionError, "burst: expected at least 1, got -1"),
    "huge burst": (lambda: convert(burst=1 << 40, coding=SIGNED), DescriptionError, "burst: expected at most"),
    "no module": (lambda: from_torch(lambda x: x, GOOD), KindError, r"torch\.nn\.Module"),
    "a class for a module": (lambda: from_torch(nn.Linear, GOOD), KindError, r"torch\.nn\.Module"),
    "control flow by values": (lambda: from_torch(Branching(6, 3), GOOD), ConversionError, "must not depend on the values of its input"),
    "a module nowhere": (lambda: from_torch(net(device="meta"), GOOD), ConversionError, "meta"),
    "calibration of another shape": (lambda: from_torch(net(), np.zeros((4, 7))), ConversionError, "0: Linear fails on the example"),
    "calibration without a batch": (lambda: from_torch(net(), GOOD[0]), DescriptionError, r"from_torch: calibration: .* got \(6,\)"),
    "no calibration images": (lambda: from_torch(net(), GOOD[:0]), DescriptionError, "from_torch: calibration: .* at least one image"),
    "nothing to calibrate with": (lambda: from_torch(net(), None), KindError, "from_torch: calibration: expected an array"),
    "calibration of text": (lambda: from_torch(net(), np.full((4, 6), "a")), KindError, "from_torch: calibration: .*dtype <U1"),
    "calibration with nan": (lambda: from_torch(net(), SPOILT), DescriptionError, "from_torch: calibration: .* found nan"),
    "calibration without end": (lambda: from_torch(net(), GOOD * np.inf), DescriptionError, "found nan or infinity"),
    "calibration nowhere": (lambda: from_torch(net(), torch.zeros(4, 6, device="meta")), KindError, "calibration: .* device meta"),
    "a weight that is nan": (lambda: from_torch(with_weight(math.nan), GOOD), ConversionError, "0.weight holds nan or infinity"),
    "a weight that is infinite": (lambda: from_torch(with_weight(math.inf), GOOD), ConversionError, "0.weight holds nan or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name):
    """Every mistake ends with an error of spikesim that says what was found."""
    call, error, said = BAD[name]
    with pytest.raises(error, match=said) as caught:
        call()
    assert isinstance(caught.value, SpikesimError)
