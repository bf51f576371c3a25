"""Fine-tuning with quantised activations: each ReLU is replaced, the gradient is the paper's, and few levels are learned."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from spikesim.convert.finetune import finetune_qcfs, quantise
from spikesim.convert.operators import Pointwise, compute
from spikesim.convert.qcfs import QCFS, staircase
from spikesim.errors import ConversionError, DescriptionError, KindError
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import accuracy, train


@pytest.fixture(scope="module")
def split():
    return digits()


@pytest.fixture(scope="module")
def learned(split):
    return train(digits_lenet(), split.train_images, split.train_labels, epochs=20)


@pytest.fixture
def few(split):
    return split.train_images[:96], split.train_labels[:96]


class EveryForm(nn.Module):
    """Six uses of ReLU: a module twice, and the four ways to write it otherwise."""

    def __init__(self):
        super().__init__()
        self.flat, self.relu, self.norm = nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(16)
        self.layers = nn.ModuleList([nn.Linear(64, 16), *(nn.Linear(16, 16) for _ in range(5)), nn.Linear(16, 10)])

    def forward(self, x):
        x = self.relu(self.norm(self.layers[0](self.flat(x))))
        x = self.relu(self.layers[1](x))
        x = functional.relu(self.layers[2](x))
        x = torch.relu(self.layers[3](x))
        x = self.layers[4](x).relu()
        return self.layers[6](functional.relu(input=self.layers[5](x), inplace=True))


class Overwritten(nn.Module):
    """The sum reads what ReLU has left in the place of its input."""

    def __init__(self, relu):
        super().__init__()
        self.relu, self.layer = relu, nn.Linear(5, 4)

    def forward(self, x):
        z = self.layer(x)
        kept = 1.0 * z
        return self.relu(z) + z + kept


def layers(module):
    return [part for part in module.modules() if isinstance(part, QCFS)]


@pytest.mark.parametrize("shape", [(), (3, 1, 1)])
def test_gradient_is_the_papers(shape):
    """Eq. of Bu et al. (2022), section 4.3, written out; away from the steps, where it is not defined."""
    generator = torch.Generator().manual_seed(1)
    z = (3.0 * torch.randn(50, 3, 4, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    threshold = (1.0 + torch.rand(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    upstream, levels = torch.randn(z.shape, generator=generator, dtype=torch.float64), 4
    value = staircase(z, threshold, levels)
    value.backward(upstream)
    half = threshold / (2 * levels)
    low, high = z <= -half, z >= threshold - half
    assert all(part.any() for part in (low, high, ~(low | high)))
    assert torch.equal(z.grad, upstream * ~(low | high))
    slope = torch.where(low, 0.0, torch.where(high, 1.0, (value - z) / threshold))
    assert torch.allclose(threshold.grad, (upstream * slope).sum_to_size(shape), rtol=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 5, 8])
def test_value_is_that_of_the_converters_operator(levels):
    z = torch.linspace(-2.0, 3.0, 1001, dtype=torch.float64)[None]
    layer = QCFS(levels, torch.tensor(1.3, dtype=torch.float64))
    operator = Pointwise("qcfs", {"threshold": layer.threshold.item(), "levels": layer.levels})
    assert torch.equal(layer(z), compute(operator, [z]))
    assert torch.allclose(layer(z).unique(), torch.linspace(0.0, 1.3, levels + 1, dtype=torch.float64))


def test_few_levels_are_learned_in_two_epochs(learned, split):
    """Four levels put in place cost accuracy; trained, nearly none of it is missing."""
    before = deepcopy(learned.state_dict())
    tuned = finetune_qcfs(learned, (split.train_images, split.train_labels), levels=4, epochs=2)
    assert accuracy(tuned, split.test_images, split.test_labels) >= accuracy(learned, split.test_images, split.test_labels) - 0.02
    assert [layer.levels for layer in layers(tuned)] == [4, 4, 4]
    assert not any(part.training for part in tuned.modules())
    assert all(torch.equal(value, before[name]) for name, value in learned.state_dict().items())
    assert not layers(learned)


def test_thresholds_are_learned_too(few):
    started = quantise(digits_lenet(), torch.from_numpy(few[0]), levels=4, percentile=99.0, per_channel=True)
    tuned = finetune_qcfs(digits_lenet(), few, levels=4, epochs=1)
    for before, after in zip(layers(started), layers(tuned), strict=True):
        assert (before.threshold != after.threshold).float().mean() > 0.5  # silent channels learn nothing
        assert (after.threshold > 0.0).all()


def test_many_levels_are_the_module_itself(few):
    """With the largest activation as threshold, and a level for each number that float32 knows nearby, nothing is lost."""
    module, images = digits_lenet(seed=3).eval(), torch.from_numpy(few[0])
    fine = quantise(module, images, levels=2**22, percentile=100.0, per_channel=False)
    assert torch.allclose(fine(images), module(images), atol=1e-5)


def test_every_use_of_relu_has_its_own_activation(few):
    module = EveryForm()
    tuned = finetune_qcfs(module, few, levels=2, epochs=1, per_channel=False)
    assert len({layer.threshold.item() for layer in layers(tuned)}) == 6
    assert not [node for node in tuned.graph.nodes if "relu" in str(node.target)]
    assert module.training  # of the caller's module nothing changes


@pytest.mark.parametrize(
    "relu", [nn.ReLU(inplace=True), functional.relu_, torch.relu_, torch.Tensor.relu_], ids=["module", "functional", "torch", "method"]
)
def test_input_that_relu_overwrites(relu):
    if relu is torch.Tensor.relu_:
        relu = lambda x: x.relu_()  # noqa: E731
    module, images = Overwritten(relu).eval(), torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    fine = quantise(module, images, levels=2**22, percentile=100.0, per_channel=False)
    assert torch.allclose(fine(images), module(images), atol=1e-5)


def test_thresholds_of_channels(few):
    """Each is the percentile of the channel's positive activations; a silent channel takes its layer's."""
    module, images = digits_lenet(seed=2).eval(), torch.from_numpy(few[0])
    with torch.no_grad():
        module[0].bias[3] = -100.0
        activations = module[:2](images)
    tuned = quantise(module, images, levels=4, percentile=90.0, per_channel=True)
    found = layers(tuned)[0].threshold
    assert found.shape == (16, 1, 1)
    positive = activations[activations > 0].numpy()
    assert found[3].item() == pytest.approx(np.percentile(positive, 90.0))
    channel = activations[:, 5]
    assert found[5].item() == pytest.approx(np.percentile(channel[channel > 0].numpy(), 90.0))
    assert layers(tuned)[2].threshold.shape == (64,)


def test_result_is_a_module_like_any_other(few, tmp_path):
    """It can be traced, copied, and its weights saved and loaded."""
    tuned = finetune_qcfs(digits_lenet(), few, levels=4, epochs=1)
    images = torch.from_numpy(few[0])
    torch.save(tuned.state_dict(), tmp_path / "weights.pt")
    other = quantise(digits_lenet(seed=9), images, levels=4, percentile=50.0, per_channel=True)
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    for same in (deepcopy(tuned), fx.symbolic_trace(tuned), other):
        assert torch.equal(same(images), tuned(images))


def test_same_seed_same_weights_and_torch_is_left_alone(few):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second = (finetune_qcfs(digits_lenet(), few, epochs=1, seed=3, threads=threads + 1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_interruption_keeps_the_best_epoch(few):
    losses = []

    def stop(epoch, loss):
        losses.append(loss)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 2 of 50 epochs"):
        tuned = finetune_qcfs(digits_lenet(), few, epochs=50, progress=stop)
    assert losses[1] < losses[0]
    with pytest.warns(UserWarning, match="interrupted after 1 of 50 epochs"):
        kept = finetune_qcfs(digits_lenet(), few, epochs=50, progress=lambda epoch, loss: stop(2, loss))
    assert not torch.equal(tuned.conv1.weight, kept.conv1.weight)
    assert not tuned.training


def test_interruption_in_the_first_epoch_goes_on(few, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(QCFS, "keep_positive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        finetune_qcfs(digits_lenet(), few)


def test_threshold_stays_positive():
    layer = QCFS(4, torch.tensor([2.0, 3.0]))
    with torch.no_grad():
        layer.threshold.copy_(torch.tensor([-1.0, 2.5]))
    layer.keep_positive()
    assert layer.threshold.tolist() == pytest.approx([0.002, 2.5])


class Branching(nn.Linear):
    def forward(self, input):
        return super().forward(input) if input.sum() > 0 else input


def not_finite():
    module = digits_lenet()
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] = float("nan")
    return module


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh()), ConversionError, "at least one ReLU"),
        (lambda: nn.Sequential(nn.Flatten(), nn.ReLU()), ConversionError, "no parameters to train"),
        (lambda: Branching(64, 10), ConversionError, "cannot trace Branching"),
        (lambda: nn.Sequential(nn.Linear(5, 10), nn.ReLU()), DescriptionError, r"does not take images of shape \(96, 1, 8, 8\)"),
        (lambda: nn.Sequential(nn.Conv2d(1, 10, 3), nn.ReLU()), DescriptionError, r"logits \(n, classes\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU()), DescriptionError, "labels from 0 to 7"),
        (not_finite, DescriptionError, "activation relu1 is not finite"),
        (lambda: "lenet", KindError, "expected a torch module, got str"),
    ],
)
def test_modules_that_cannot_be_trained(module, error, message, few):
    with pytest.raises(error, match=message):
        finetune_qcfs(module(), few)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (lambda images, labels: images, KindError, "a pair of images and labels"),
        (lambda images, labels: (images, labels[:5]), DescriptionError, r"got shapes \(96, 1, 8, 8\) and \(5,\)"),
        (lambda images, labels: (images[:0], labels[:0]), DescriptionError, "n > 0"),
        (lambda images, labels: (images, np.eye(10)[labels]), DescriptionError, r"and \(96, 10\)"),
        (lambda images, labels: (images, labels + 0.5), KindError, "whole numbers as labels"),
        (lambda images, labels: (images, labels - 1), DescriptionError, "got -1 to 8"),
        (lambda images, labels: (np.where(images > 0.9, np.nan, images), labels), DescriptionError, "finite images"),
    ],
)
def test_data_that_cannot_be_used(data, error, message, few):
    with pytest.raises(error, match=message):
        finetune_qcfs(digits_lenet(), data(*few))


@pytest.mark.parametrize(
    "options", [{"levels": 0}, {"levels": 2.5}, {"levels": True}, {"epochs": 0}, {"batch": -1}, {"threads": 0}, {"rate": 0.0},
                {"rate": float("nan")}, {"weight_decay": -1e-4}, {"percentile": 0.0}, {"percentile": 101.0}], ids=str,
)  # fmt: skip
def test_options_that_are_impossible(options, few):
    with pytest.raises(DescriptionError, match=f"finetune_qcfs: {next(iter(options))}"):
        finetune_qcfs(digits_lenet(), few, **options)


def test_diverging_training_says_so(few):
    with pytest.raises(DescriptionError, match="try a smaller rate than 1e"):
        finetune_qcfs(digits_lenet(), few, rate=1e30)
