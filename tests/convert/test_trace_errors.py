"""What cannot be converted is refused by name and place, and the module is left as it was."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spikesim.convert import lowerings
from spikesim.convert.graph import Node
from spikesim.convert.lowerings import register_lowering
from spikesim.convert.trace import read_out, trace
from spikesim.errors import ConversionError, DescriptionError, KindError

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support", "ignore:.*weight_norm.*", "ignore:.*spectral_norm.*")


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.layer = nn.Linear(3, 3)
        self.register_buffer("batch", torch.arange(12.0).reshape(4, 3))

    def forward(self, x):
        return self.function(self, x)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


def hooked():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda module, given, result: 2.0 * result)
    return nn.Sequential(layer)


def infinite(value):
    layer = nn.Linear(3, 2)
    layer.weight.data[0, 0] = value
    return nn.Sequential(layer)


def choose(m, x):
    return m.layer(x) if x.sum() > 0 else x


def grow(m, x):
    return torch.cat([x, torch.zeros(3, 1)], 1) if len(x) == 3 else x


FUNCTIONS = {  # name: (function of the module and x, shape of one input, what the message must say)
    "unknown function": (lambda m, x: torch.fft.fft(x).real, (3,), ["Call: fft_fft (test_trace_errors.py:", "has no row"]),
    "unknown method": (lambda m, x: x.lgamma(), (3,), ["Call: Tensor.lgamma (test_trace_errors.py:", "register_lowering", "allow_analog"]),
    "all of several": (lambda m, x: x.lgamma() + m.layer(x).sin(), (3,), ["Tensor.lgamma", "Tensor.sin"]),
    "sqrt": (lambda m, x: x.sqrt(), (3,), ["rsqrt"]),
    "log": (lambda m, x: x.log(), (3,), ["allow_analog=['log']"]),
    "argmax": (lambda m, x: x.argmax(1), (3,), ["return the scores"]),
    "einsum": (lambda m, x: torch.einsum("bi,bi->b", x, x), (3,), ["einsum", "@, * and sum"]),
    "comparison": (lambda m, x: (x > 0.0) * x, (3,), ["Call: gt"]),
    "control flow": (choose, (3,), ["Call cannot be traced", "must not depend on the values", "torch.fx says", "torch.export says"]),
    "item": (lambda m, x: x * x.sum().item(), (3,), ["torch.fx could not trace it", "item turns values of the input into a number"]),
    "flatten of the batch": (lambda m, x: x.flatten(0), (2, 3), ["Tensor.flatten", "mixes the batch dimension"]),
    "reshape across": (lambda m, x: x.reshape(-1, 3), (2, 3), ["mixes the batch dimension"]),
    "mean over the batch": (lambda m, x: x - x.mean(0), (3,), ["Tensor.mean", "works along the batch dimension"]),
    "mean over all": (lambda m, x: x * x.mean(), (3,), ["over all dimensions, the batch too"]),
    "sample 0": (lambda m, x: x[0], (3,), ["getitem", "mixes the batch dimension"]),
    "roll of the batch": (lambda m, x: x.roll(1, 0), (3,), ["mixes the batch"]),
    "softmax over the batch": (lambda m, x: x.softmax(0) * 2.0, (3,), ["along the batch dimension"]),
    "batch meets channels": (lambda m, x: x + x[:, :, None], (3,), ["so that a batch meets another dimension"]),
    "batch behind": (lambda m, x: x.transpose(0, 1), (3,), ["returns the batch as dimension 1"]),
    "batch behind, in a row": (lambda m, x: x.T @ m.batch[:3], (3,), ["reads a value whose batch is dimension 1"]),
    "constant differs over the batch": (lambda m, x: x + m.batch[: len(x)], (3,), ["differs over the batch"]),
    "x @ x": (lambda m, x: x @ x.T, (3,), ["matmul", "batch"]),
    "constant @ x": (lambda m, x: m.batch[:3, :3] @ x, (3,), ["mixes the batch; write x @ A.T"]),
    "large matmul": (lambda m, x: x @ x.mT, (101, 100), ["1,020,100 products", "at most 1,000,000"]),
    "batch size in the code": (grow, (3,), ["does not compute what the module does", "depend on the batch"]),
    "random": (lambda m, x: x + torch.rand(3), (3,), ["does not compute what the module does", "draw at random"]),
    "change through a view": (lambda m, x: (lambda y: (y[:, :2].relu_(), y)[1])(x * 2.0 - 1.0), (3,), ["in place"]),
    "functional dropout": (lambda m, x: functional.dropout(x, 0.5), (3,), ["drops at random also in eval mode"]),
    "log_softmax inside": (lambda m, x: x.log_softmax(1) * 2.0, (3,), ["only as the last operator"]),
    "indices of a maximum": (lambda m, x: x.max(1)[1] * 2.0, (3,), ["indices of a maximum"]),
    "places of max_pool": (lambda m, x: functional.max_pool1d(x, 2, return_indices=True)[1] * 2.0, (2, 4), ["indices of a maximum"]),
    "weights from the input": (lambda m, x: functional.linear(x, x[0:1].expand(3, 3)), (3,), ["getitem"]),
    "power": (lambda m, x: x**2.5, (3,), ["exponent 2.5"]),
    "floor division": (lambda m, x: torch.div(x, 2.0, rounding_mode="floor"), (3,), ["rounds (floor)"]),
    "infinite fill": (lambda m, x: x.masked_fill(m.batch[0] > 1.0, float("-inf")).softmax(1) * 2, (3,), ["fills in infinity"]),
    "choice by an activation": (lambda m, x: torch.where(x > 0.0, x, -x), (3,), ["gt"]),
    "positions from an activation": (lambda m, x: m.batch[x.argmax(1)], (3,), ["argmax"]),
    "to integers": (lambda m, x: x.to(torch.int64), (3,), ["gives integers or truth values"]),
    "nan on the example": (lambda m, x: (-x).rsqrt(), (3,), ["gives nan or infinity on the example"]),
    "threshold with a step": (lambda m, x: functional.threshold(x, 0.1, 20.0), (3,), ["has a step"]),
    "softplus": (lambda m, x: functional.softplus(x, threshold=2.0), (3,), ["threshold=2.0"]),
    "bicubic": (lambda m, x: functional.interpolate(x, scale_factor=2, mode="bicubic"), (1, 3, 3), ["'bicubic' has no row"]),
    "two outputs": (lambda m, x: (x, m.layer(x)), (3,), ["Call returns several values"]),
    "dictionary": (lambda m, x: {"logits": m.layer(x)}, (3,), ["Call returns several values"]),
    "constant": (lambda m, x: m.batch, (3,), ["Call does not use its input"]),
    "wrong example": (lambda m, x: m.layer(x), (4,), ["layer: Linear fails on the example: mat1 and mat2"]),
    "nan in a constant": (lambda m, x: x * float("nan"), (3,), ["Call: mul", "nan or infinity"]),
}  # fmt: skip

MODULES = {
    "two inputs": (TwoInputs, (3,), ["missing 1 required positional argument: 'y'"]),
    "hooks": (hooked, (3,), ["0: Linear has forward hooks"]),
    "old spectral norm": (lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 2))), (3,), ["0: Linear has forward hooks"]),
    "nan": (lambda: infinite(np.nan), (3,), ["0.weight holds nan or infinity"]),
    "infinity and others": (lambda: infinite(np.inf).append(nn.LSTM(2, 2)), (3,), ["0.weight holds", "1: LSTM has no row"]),
    "lstm": (lambda: nn.Sequential(nn.LSTM(3, 2)), (5, 3), ["0: LSTM"]),
    "bn without statistics": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)), (1, 6, 6),
                              ["1: BatchNorm2d without running statistics"]),
    "conv taking the batch for channels": (lambda: nn.Sequential(nn.Conv1d(3, 2, 3)), (6,), ["0: Conv1d needs (channels, 1 space"]),
    "pool taking the batch for channels": (lambda: nn.Sequential(nn.AvgPool1d(2)), (6,), ["0: AvgPool1d needs (channels, 1"]),
    "attention with keys masked": (lambda: nn.Sequential(nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2, 4, activation=torch.tanh,
                                   batch_first=True)), (3, 4), ["1: TransformerEncoderLayer has an activation"]),
    "embedding": (lambda: nn.Sequential(nn.Embedding(5, 3)), (3,), ["0: Embedding fails on the example"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_refused(name):
    function, shape, said = FUNCTIONS[name]
    refused(Call(function), shape, said)


@pytest.mark.parametrize("name", MODULES)
def test_modules_refused(name):
    make, shape, said = MODULES[name]
    refused(make(), shape, said)


def refused(module, shape, said):
    with pytest.raises(ConversionError) as caught:
        trace(module, torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))
    for text in said:
        assert text in str(caught.value)


def test_a_refusal_lists_nothing_but_the_causes():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LPPool2d(2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.Threshold(0.1, 20))
    with pytest.raises(ConversionError) as caught:
        trace(module, np.ones((1, 1, 6, 6)))
    said = str(caught.value).splitlines()
    assert said[0] == "Sequential cannot be converted:" and said[-1].startswith("Supported: convolutions")
    assert said[-2].startswith("  5: Threshold with threshold 0.1 and value 20 has a step")
    assert all(line.strip().startswith(("1: LPPool2d", "5: Threshold")) for line in said[1:-1])


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(3, 4).half(), nn.BatchNorm1d(4).half(), nn.ReLU(inplace=True), nn.Dropout(0.9)).train()
    module[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    example, state = torch.rand(2, 3, dtype=torch.float16), torch.get_rng_state()
    kept = example.clone()
    graph = trace(module, example)
    assert module.training and module[3].training and not module[1].training
    assert all(torch.equal(value, before[key]) and value.dtype == before[key].dtype for key, value in module.state_dict().items())
    assert torch.equal(example, kept) and torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == torch.float32
    module[0].weight.data.zero_()
    weights = graph.nodes["0"].operator.weights
    assert weights.dtype == np.float64 and (weights != 0.0).any()


def test_casts_are_left_out():
    module = Call(lambda m, x: m.layer(x.half().float()).to(torch.float32).double())
    graph = trace(module, torch.ones(1, 3))
    images = torch.rand(4, 3, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_array_equal(read_out(graph, images), module.layer.double()(images))


@pytest.mark.parametrize("example", [np.zeros((0, 3)), np.zeros(())])
def test_the_example_must_be_a_batch(example):
    with pytest.raises(DescriptionError, match="expected an example batch"):
        trace(nn.Linear(3, 2), example)


def test_what_is_no_module_is_refused():
    with pytest.raises(KindError, match=r"expected a torch\.nn\.Module"):
        trace(lambda x: x, np.zeros((1, 3)))
    with pytest.raises(KindError, match="expected allow_analog as a list"):
        trace(nn.ReLU(), np.zeros((1, 3)), allow_analog="log")


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(lowerings, "ROWS", dict(lowerings.ROWS))
    kept = dict(lowerings.MODULES)
    yield
    lowerings.MODULES.clear()
    lowerings.MODULES.update(kept)


class Own(nn.Module):
    """A module that torch.fx would see through to what has no row."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.gain * torch.sqrt(x * x)


@pytest.mark.usefixtures("tables")
def test_rows_can_be_added():
    register_lowering("sqrt", lambda builder, x: builder.product(x, builder.pointwise(x, "rsqrt")))
    register_lowering(torch.cosh, lambda builder, x: builder.sum(
        [builder.pointwise(x, "exp"), builder.pointwise(builder.sum([x], [-1.0]), "exp")], [0.5, 0.5]))  # fmt: skip
    register_lowering(Own, lambda builder, module, x: builder.scale(builder.pointwise(x, "abs"), module.gain))
    module = nn.Sequential(Own(), Call(lambda m, x: (x + 1.0).sqrt() + torch.cosh(x)))
    graph = trace(module, torch.rand(2, 3))
    images = torch.rand(4, 3, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(read_out(graph, images), module.double()(images), rtol=1e-12)
    assert graph.nodes["0.abs"].where == "0: Own, abs" and isinstance(graph.nodes["1.cosh"], Node)


@pytest.mark.usefixtures("tables")
def test_a_wrong_row_is_found_out():
    register_lowering("lgamma", lambda builder, x: builder.pointwise(x, "exp"))
    refused(Call(lambda m, x: x.lgamma()), (3,), ["does not compute what the module does"])
    register_lowering("lgamma", lambda builder, x: builder.reshape(x, (3, 1)))
    refused(Call(lambda m, x: x.lgamma()), (3,), ["gives (3, 3) for 3 samples"])
    with pytest.raises(KindError, match="register_lowering: expected a module class"):
        register_lowering(3, lambda builder, x: x)


def test_analog_before_the_first_neuron_and_after_the_last():
    module = Call(lambda m, x: torch.sqrt(m.layer(torch.log1p(x.abs()).sin()).relu() + 1.0))
    images = torch.rand(4, 3, dtype=torch.float64)
    graph = trace(module, images, allow_analog=["log1p", "sin", "abs", "sqrt"])
    assert graph.before is not None and graph.after is not None
    with torch.no_grad():
        np.testing.assert_allclose(graph.before(images), torch.log1p(images.abs()).sin(), rtol=1e-12)
        np.testing.assert_allclose(read_out(graph, images), module.double()(images), rtol=1e-12)
    assert [label.split(" (")[0] for label in graph.analog] == ["Call: Tensor.abs", "Call: log1p", "Call: Tensor.sin", "Call: sqrt"]


def test_a_softmax_before_an_analog_operator_is_converted():
    module = Call(lambda m, x: m.layer(x).softmax(1).log())
    images = torch.rand(4, 3, dtype=torch.float64)
    graph = trace(module, images, allow_analog=["log"])
    assert graph.outside is None and graph.output == "softmax"
    with torch.no_grad():
        np.testing.assert_allclose(read_out(graph, images), module.double()(images), rtol=1e-12)


def test_an_analog_layer_by_its_class():
    module = nn.Sequential(Own(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.Softsign())
    images = torch.rand(4, 3, dtype=torch.float64)
    graph = trace(module, images, allow_analog=["Own", "Softsign"])
    with torch.no_grad():
        np.testing.assert_allclose(read_out(graph, images), module.double()(images), rtol=1e-12)
    assert [node.name for node in graph] == ["input", "1", "2", "3"]
    assert graph.analog == ("0: Own", "4: Softsign")


def test_analog_between_neurons_is_refused():
    module = Call(lambda m, x: m.layer(torch.sin(m.layer(x).relu())))
    with pytest.raises(ConversionError, match="between neurons") as caught:
        trace(module, torch.rand(1, 3), allow_analog=["sin"])
    assert "Call: sin (test_trace_errors.py:" in str(caught.value)


def test_analog_beside_others_is_refused():
    module = Call(lambda m, x: m.layer(torch.sin(x)).relu() + x)
    with pytest.raises(ConversionError, match="read the same input"):
        trace(module, torch.rand(1, 3), allow_analog=["sin"])
