"""The chain of stages computes what the torch module computes, or the module is refused by name."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spikesim.convert.graph import linear_stages, run_stages
from spikesim.errors import ConversionError, DescriptionError, KindError
from spikesim.models.lenet import digits_lenet


class Named(nn.Module):
    """A chain of the user's own, with a block inside and one ReLU used twice."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.act = nn.ReLU(inplace=True)
        self.flat = nn.Flatten()
        self.hidden = nn.Linear(64, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.act(self.hidden(self.flat(self.act(self.features(x))))))


def shared_layer():
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), layer)


CHAINS = {  # name: (module, shape of one input)
    "dense": (lambda: nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)), (7,)),
    "one layer": (lambda: nn.Linear(7, 5), (7,)),
    "flatten first": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3)), (2, 3, 4)),
    "dense bn": (lambda: nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3), nn.BatchNorm1d(3)), (7,)),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(3, 4, 5, stride=2, padding=2), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2),
                                     nn.Conv1d(4, 6, 3, padding=1, groups=2)), (3, 24)),
    "conv2d": (lambda: nn.Sequential(nn.Conv2d(3, 6, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 3), groups=3), nn.ReLU(),
                                     nn.Conv2d(6, 4, 1)), (3, 9, 10)),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(2, 4, (2, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(4, affine=False), nn.ReLU(),
                                     nn.AvgPool3d((1, 2, 3)), nn.Conv3d(4, 2, 2, stride=(1, 2, 1), padding=1), nn.ReLU(), nn.Flatten(),
                                     nn.Linear(2 * 4 * 2 * 3, 5)), (2, 4, 4, 6)),
    "same padding": (lambda: nn.Sequential(nn.Conv2d(1, 2, (3, 5), padding="same", dilation=(1, 2)), nn.ReLU(),
                                           nn.Conv2d(2, 2, 2, padding="valid")), (1, 6, 7)),
    "pool before strided padded conv": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(2, 3, 3, stride=2, padding=2)), (2, 10, 12)),
    "pool before depthwise conv": (lambda: nn.Sequential(nn.AvgPool2d((2, 1)), nn.Conv2d(4, 8, 2, groups=4)), (4, 6, 5)),
    "two pools": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d((2, 3)), nn.Identity(), nn.AvgPool2d((3, 1)),
                                        nn.Conv2d(2, 3, 2, padding=(1, 0))), (1, 12, 9)),
    "pools, flatten, linear": (lambda: nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.AvgPool2d(2), nn.AvgPool2d((1, 2)), nn.Dropout(),
                                                     nn.Flatten(), nn.Dropout(), nn.Linear(18, 4), nn.ReLU(), nn.Linear(4, 2)), (1, 6, 8)),
    "pool first, flatten, linear": (lambda: nn.Sequential(nn.AvgPool1d(3), nn.Flatten(), nn.Linear(8, 4)), (2, 12)),
    "sum pool": (lambda: nn.Sequential(nn.AvgPool2d(2, divisor_override=1), nn.Conv2d(1, 2, 2)), (1, 6, 6)),
    "ceil mode that divides": (lambda: nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(1, 2, 2)), (1, 6, 6)),
    "global pool": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 3)), (2, 6, 6)),
    "dropout everywhere": (lambda: nn.Sequential(nn.Dropout2d(), nn.Conv2d(1, 2, 2), nn.Dropout(), nn.BatchNorm2d(2), nn.Identity(),
                                                 nn.ReLU(), nn.Dropout2d(), nn.Conv2d(2, 1, 2), nn.Dropout()), (1, 5, 5)),
    "bn twice": (lambda: nn.Sequential(nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2)), (1, 5)),
    "relu after flatten, twice": (lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.ReLU(), nn.ReLU(), nn.Linear(32, 2)),
                                  (1, 5, 5)),
    "shared layer": (shared_layer, (5,)),
    "own module": (Named, (2, 6, 6)),
    "lenet": (digits_lenet, (1, 8, 8)),
}  # fmt: skip


def randomized(make, seed=0):
    """The module in float64, with random weights and batch statistics, in training mode."""
    module = make().double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype))
                if name.endswith("running_var"):
                    tensor.abs_().add_(0.1)
    return module.train()


def images(shape, count=4):
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", CHAINS)
def test_stages_compute_what_the_module_computes(name):
    make, shape = CHAINS[name]
    module = randomized(make)
    stages = linear_stages(module, images(shape))
    got = run_stages(stages, images(shape))
    with torch.no_grad():
        wanted = module.eval()(images(shape)).numpy()
    assert wanted.std() > 0.0
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CHAINS)
def test_stages_fit_together(name):
    make, shape = CHAINS[name]
    stages = linear_stages(make(), torch.zeros(1, *shape))
    assert stages[0].in_shape == shape
    assert [stage.in_shape for stage in stages[1:]] == [stage.out_shape for stage in stages[:-1]]
    assert [stage.spiking for stage in stages] == [True] * (len(stages) - 1) + [False]
    assert len({stage.name for stage in stages}) == len(stages)
    for stage in stages:
        assert stage.weights.dtype == stage.bias.dtype == np.float64
        assert not stage.weights.flags.writeable
        dims = stage.weights.ndim - 2
        assert len(stage.stride) == len(stage.padding) == len(stage.dilation) == dims
        assert all(type(number) is int for number in (*stage.stride, *stage.padding, *stage.dilation, *stage.in_shape, *stage.out_shape))
        if stage.kind == "dense":
            assert stage.weights.shape == (*stage.out_shape, np.prod(stage.in_shape))


def test_lenet_in_numbers():
    first, second, third, last = linear_stages(digits_lenet(), np.zeros((2, 1, 8, 8)))
    assert [stage.name for stage in (first, second, third, last)] == ["conv1", "conv2", "dense1", "dense2"]
    assert (second.kind, second.weights.shape, second.stride, second.padding) == ("conv", (32, 16, 6, 6), (2, 2), (2, 2))
    assert (third.kind, third.weights.shape, third.in_shape, third.out_shape) == ("dense", (64, 512), (32, 4, 4), (64,))


def test_names_are_module_paths_and_shared_layers_are_numbered():
    assert [stage.name for stage in linear_stages(Named(), np.zeros((1, 2, 6, 6)))] == ["features.0", "hidden", "head"]
    assert [stage.name for stage in linear_stages(shared_layer(), np.zeros((1, 5)))] == ["0", "0 #2", "0 #3"]


def test_the_module_is_left_as_it_was():
    module = randomized(Named)
    module.features[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    example, state = images((2, 6, 6)), torch.get_rng_state()
    stages = linear_stages(module, example)
    assert module.training
    assert module.head.training
    assert not module.features[1].training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(example, images((2, 6, 6)))
    assert torch.equal(torch.get_rng_state(), state)
    module.head.weight.data.zero_()
    assert (stages[-1].weights != 0.0).any()


def test_a_relu_in_place_does_not_change_the_example():
    example = -np.ones((1, 3))
    with pytest.raises(ConversionError):
        linear_stages(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)).double(), example)
    assert (example == -1.0).all()


def test_the_mode_is_restored_after_a_refusal():
    module = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    with pytest.raises(ConversionError):
        linear_stages(module, np.zeros((1, 3)))
    assert module.training
    assert module[0].training


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return functional.relu(self.fc(x)).abs() * self.scale


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act, self.b, self.c = nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.c(self.act(self.b(self.act(self.a(x))) + x))


class Branch(Residual):
    def forward(self, x):
        self.act(self.a(x))
        return self.c(x)


class TwoOutputs(Residual):
    def forward(self, x):
        hidden = self.act(self.a(x))
        return hidden, self.b(hidden)


class TwoInputs(Residual):
    def forward(self, x, y):
        return self.c(self.act(self.a(x) + y))


class SecondInput(Residual):
    def forward(self, x, y=torch.ones(1, 3)):  # noqa: B008  a default that stands for an input nobody gave
        return self.c(y)


class Undecided(Residual):
    def forward(self, x):
        return self.a(x) if x.sum() > 0 else self.b(x)


class Constant(Residual):
    def forward(self, x):
        return torch.zeros(1)


def hooked():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda module, given, result: 2.0 * result)
    return layer


def conv(*after, shape=(1, 6, 6), **options):
    return nn.Sequential(nn.Conv2d(shape[0], 2, 3, **options), *after)


REFUSED = {  # name: (module, shape of one input, what the message must say)
    "functional": (Functional, (3,), ["Functional: relu (test_graph.py:", "Functional: Tensor.abs (test_graph.py:",
                                      "Functional: parameter scale", "Functional: mul (test_graph.py:"]),
    "residual": (Residual, (3,), ["Residual: add (test_graph.py:"]),
    "branch": (Branch, (3,), ["c: Linear: not a straight chain"]),
    "two outputs": (TwoOutputs, (3,), ["TwoOutputs: output: not a straight chain"]),
    "two inputs": (TwoInputs, (3,), ["TwoInputs: input y fails on the example"]),
    "input unused": (SecondInput, (3,), ["SecondInput does not use its input"]),
    "control flow": (Undecided, (3,), ["Undecided cannot be traced by torch.fx", "must not depend on the values"]),
    "constant": (Constant, (3,), ["Constant does not use its input"]),
    "hooks": (hooked, (3,), ["0: Linear has forward hooks"]),
    "old weight norm": (lambda: nn.utils.spectral_norm(nn.Linear(3, 2)), (3,), ["0: Linear has forward hooks"]),
    "parametrized": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), (3,), ["0: ParametrizedLinear"]),
    "lstm": (lambda: nn.Sequential(nn.LSTM(3, 2)), (5, 3), ["0: LSTM"]),
    "relu6": (lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU6(), nn.Linear(2, 1)), (3,), ["1: ReLU6"]),
    "all of many": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.MaxPool2d(2),
                                          nn.Conv2d(2, 2, 2, padding_mode="reflect", padding=1), nn.AvgPool2d(2, stride=1),
                                          nn.Flatten(), nn.Linear(8, 3), nn.Softmax(1)), (1, 6, 6),
                    ["1: SiLU\n", "2: MaxPool2d\n", "3: Conv2d with padding=(1, 1), padding_mode='reflect'", "4: AvgPool2d with kernel",
                     "7: Softmax\n", "Supported: one straight chain of Conv1d"]),
    "even same padding": (lambda: conv(padding="same", dilation=1, shape=(1,)).append(nn.ReLU()).append(nn.Conv2d(2, 1, 2, padding="same")),
                          (1, 6, 6), ["2: Conv2d with padding='same'"]),
    "overlapping pool": (lambda: nn.Sequential(nn.AvgPool2d(2, 1), nn.Conv2d(1, 2, 2)),
                         (1, 6, 6), ["0: AvgPool2d with kernel (2, 2), stride (1, 1)"]),
    "padded pool": (lambda: nn.Sequential(nn.AvgPool1d(2, padding=1), nn.Conv1d(1, 2, 2)), (1, 6), ["0: AvgPool1d with", "padding (1,)"]),
    "pool that does not divide": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 2)),
                                  (1, 6, 7), ["does not divide (6, 7) exactly"]),
    "second pool that does not divide": (lambda: nn.Sequential(nn.AvgPool1d(2), nn.AvgPool1d(2), nn.Conv1d(1, 2, 2)),
                                         (1, 10), ["divide (5,) exactly"]),
    "pool before dilation": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 2, dilation=2)), (1, 8, 8),
                             ["1: Conv2d with dilation (2, 2) after pooling", "0: AvgPool2d"]),
    "pool at the end": (lambda: conv(nn.ReLU(), nn.AvgPool2d(2)), (1, 6, 6), ["2: AvgPool2d has no conv or linear layer after it"]),
    "pool before relu": (lambda: conv(nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(2, 1, 1)),
                         (1, 6, 6), ["2: ReLU does not stand directly after"]),
    "bn after pool": (lambda: conv(nn.AvgPool2d(2), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 1)),
                      (1, 6, 6), ["2: BatchNorm2d does not stand"]),
    "bn after relu": (lambda: conv(nn.ReLU(), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1)), (1, 6, 6), ["2: BatchNorm2d does not stand"]),
    "bn after flatten": (lambda: conv(nn.Flatten(), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1)),
                         (1, 6, 6), ["2: BatchNorm1d does not stand"]),
    "bn first": (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)), (3,), ["0: BatchNorm1d does not stand"]),
    "bn without statistics": (lambda: conv(nn.BatchNorm2d(2, track_running_stats=False)),
                              (1, 6, 6), ["1: BatchNorm2d without running statistics"]),
    "relu first": (lambda: nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), (3,), ["0: ReLU does not stand"]),
    "relu at the end": (lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU()), (3,), ["0: the last layer must be read out without a ReLU"]),
    "no relu between": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 2)), (3,),
                        ["1: Linear follows 0 without a ReLU", "2: Linear follows 1 without a ReLU"]),
    "no layer": (nn.Identity, (3,), ["it has no conv or linear layer"]),
    "nothing": (nn.Sequential, (3,), ["it has no conv or linear layer"]),
    "linear on an image": (lambda: nn.Sequential(nn.Linear(6, 2)), (1, 4, 6), ["0: Linear reads shape (1, 4, 6); put a Flatten"]),
    "conv taking the batch for channels": (lambda: nn.Sequential(nn.Conv1d(1, 2, 3)),
                                           (6,), ["0: Conv1d needs (channels, 1 space dimensions)"]),
    "pool taking the batch for channels": (lambda: nn.Sequential(nn.AvgPool1d(2), nn.Linear(3, 2)),
                                           (6,), ["0: AvgPool1d needs (channels, 1"]),
    "flatten of the batch": (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(3, 2)), (3,), ["0: Flatten from dimension 0 to -1"]),
    "partial flatten": (lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3)), (1, 4, 6), ["0: Flatten from dimension 2 to -1"]),
    "wrong example": (lambda: nn.Sequential(nn.Linear(3, 2)), (4,), ["0: Linear fails on the example: "]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*", "ignore:.*spectral_norm.*", "ignore:Using padding='same'")
def test_refused(name):
    make, shape, said = REFUSED[name]
    with pytest.raises(ConversionError) as caught:
        linear_stages(make(), torch.zeros(1, *shape))
    for text in said:
        assert text in str(caught.value)


def test_a_refusal_lists_nothing_but_the_causes():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ConversionError) as caught:
        linear_stages(module, np.zeros((1, 1, 6, 6)))
    assert str(caught.value).splitlines()[:-1] == ["Sequential cannot be converted:", "  1: SiLU"]


@pytest.mark.parametrize("example", [np.zeros(3), np.zeros((0, 3)), np.zeros(())])
def test_the_example_must_be_a_batch(example):
    with pytest.raises(DescriptionError, match="expected an example batch"):
        linear_stages(nn.Linear(3, 2), example)


def test_what_is_no_module_is_refused():
    with pytest.raises(KindError, match=r"expected a torch\.nn\.Module"):
        linear_stages(lambda x: x, np.zeros((1, 3)))


def test_images_must_fit_the_first_stage():
    with pytest.raises(DescriptionError, match=r"in_shape \(3,\), got \(2, 4\)"):
        run_stages(linear_stages(nn.Linear(3, 2), np.zeros((1, 3))), np.zeros((2, 4)))
