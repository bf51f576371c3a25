"""Rewriting keeps what a graph computes and what it costs, and merges what it is there to merge."""

import math
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn import functional

from spikesim.convert.graph import Graph, evaluate
from spikesim.convert.operators import Along
from spikesim.convert.rewrite import rewrite
from spikesim.convert.trace import trace


def macs(graph: Graph) -> int:
    return sum(node.macs for node in graph)


def kinds(graph: Graph) -> Counter:
    return Counter(type(node.operator).__name__ for node in graph)


def same(graph: Graph, images: torch.Tensor) -> Graph:
    """The rewritten graph, held against the old one."""
    found = rewrite(graph)
    wanted, values = evaluate(graph, images), evaluate(found, images)
    for name in {graph.output} | {node.name for node in found if not node.linear}:  # neurons keep their values, too
        assert float((values[name] - wanted[name]).abs().max()) <= 1e-12 * float(wanted[name].abs().max())
    assert macs(found) == macs(graph)
    assert found.output == graph.output and found.input.shape == graph.input.shape
    seen: set[str] = set()
    for node in found:
        assert set(node.inputs) <= seen
        seen.add(node.name)
    return found


def test_networks_are_the_same(network):
    found = same(network.graph, network.images)
    assert len(found.nodes) <= len(network.graph.nodes)
    again = rewrite(found)
    assert [id(node) for node in again] == [id(node) for node in found]


class Chain(nn.Sequential):
    """Layers, or functions of one tensor, one after the other."""

    def __init__(self, *steps):
        super().__init__(*(step for step in steps if isinstance(step, nn.Module)))
        self.steps = steps

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


def cat(*parts):
    return lambda x: torch.cat([part(x) for part in parts], 1)


def pool_then_conv(window, **options):
    return lambda: Chain(nn.AvgPool2d(window), nn.Conv2d(4, 3, (2, 1), **options))


relu, flatten = torch.relu, nn.Flatten
IMAGE = (4, 4, 6)
MERGED = {  # name: (module, shape of one input, the operators that are left)
    "Linear, BN": (lambda: Chain(nn.Linear(6, 5), nn.BatchNorm1d(5)), (6,), {"Full": 1}),
    "BN, Linear": (lambda: Chain(nn.BatchNorm1d(6), nn.Linear(6, 5)), (6,), {"Full": 1}),
    "BN, BN": (lambda: Chain(nn.BatchNorm1d(6), nn.BatchNorm1d(6)), (6,), {"Along": 1}),
    "Linear, Linear": (lambda: Chain(nn.Linear(6, 5), nn.Linear(5, 6)), (6,), {"Full": 2}),  # merged it would be larger
    "conv, BN": (lambda: Chain(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGE, {"Convolution": 1}),
    "conv, BN of two channels": (lambda: Chain(nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)), IMAGE, {"Convolution": 1}),
    "conv of groups, BN": (lambda: Chain(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)), IMAGE, {"Convolution": 1}),
    "depthwise conv, BN": (lambda: Chain(nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8)), IMAGE, {"Convolution": 1}),
    "transposed conv, BN": (lambda: Chain(nn.ConvTranspose2d(4, 6, 3, 2), nn.BatchNorm2d(6)), IMAGE, {"Convolution": 1}),
    "transposed conv of groups, BN": (lambda: Chain(nn.ConvTranspose2d(4, 6, 2, 2, groups=2), nn.BatchNorm2d(6)), IMAGE,
                                      {"Convolution": 1}),
    "conv1d, BN": (lambda: Chain(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6)), (4, 5), {"Convolution": 1}),
    "conv3d, BN": (lambda: Chain(nn.Conv3d(2, 6, 2, groups=2), nn.BatchNorm3d(6)), (2, 3, 3, 2), {"Convolution": 1}),
    "BN, conv with padding": (lambda: Chain(nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1)), IMAGE, {"Convolution": 1}),
    "BN, conv of groups": (lambda: Chain(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=(1, 2), stride=2, groups=2)), IMAGE,
                           {"Convolution": 1}),
    "BN, depthwise conv": (lambda: Chain(nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, groups=4, padding=1)), IMAGE, {"Convolution": 1}),
    "BN, transposed conv": (lambda: Chain(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)), IMAGE, {"Convolution": 1}),
    "BN, transposed conv of groups": (lambda: Chain(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 6, 3, groups=2)), IMAGE, {"Convolution": 1}),
    "conv, BN, conv": (lambda: Chain(nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3)), IMAGE, {"Convolution": 2}),
    "shuffle, conv": (lambda: Chain(nn.ChannelShuffle(2), nn.Conv2d(4, 3, 3)), IMAGE, {"Convolution": 1}),
    "shuffle, transposed conv": (lambda: Chain(nn.ChannelShuffle(2), nn.ConvTranspose2d(4, 3, 3)), IMAGE, {"Convolution": 1}),
    "shuffle, conv of groups": (lambda: Chain(nn.ChannelShuffle(2), nn.Conv2d(4, 6, 3, groups=2)), IMAGE, {"Along": 1, "Convolution": 1}),
    "shuffle and back": (lambda: Chain(nn.ChannelShuffle(2), nn.ChannelShuffle(2), nn.Conv2d(4, 6, 3, groups=2)), IMAGE,
                         {"Convolution": 1}),
    "flip and back": (lambda: Chain(lambda x: x.flip(3).flip(3), flatten(), nn.Linear(96, 2)), IMAGE, {"Full": 1}),
    "pool, conv": (pool_then_conv(2, padding=(1, 2)), IMAGE, {"Convolution": 1}),
    "oblong pool, conv": (pool_then_conv((2, 3), stride=(1, 2)), IMAGE, {"Convolution": 1}),
    "global pool, conv": (lambda: Chain(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1)), IMAGE, {"Convolution": 1}),
    "pool to one place, conv with padding": (lambda: Chain(nn.AvgPool2d((4, 6)), nn.Conv2d(4, 3, 3, padding=1)), IMAGE, {"Convolution": 1}),
    "pool, conv of groups": (lambda: Chain(nn.AvgPool2d(2), nn.Conv2d(4, 6, 2, groups=2)), IMAGE, {"Convolution": 1}),
    "pool, dilated conv": (lambda: Chain(nn.AvgPool2d((1, 2)), nn.Conv2d(4, 3, 2, dilation=2)), IMAGE, {"Along": 1, "Convolution": 1}),
    "pool that overlaps, conv": (lambda: Chain(nn.AvgPool2d(2, 1), nn.Conv2d(4, 3, 2)), IMAGE, {"Along": 1, "Convolution": 1}),
    "pool that leaves a rest, conv": (lambda: Chain(nn.AvgPool2d(3), nn.Conv2d(4, 3, 1)), IMAGE, {"Along": 1, "Convolution": 1}),
    "pool with padding, conv": (lambda: Chain(nn.AvgPool2d(2, padding=1), nn.Conv2d(4, 3, 2)), IMAGE, {"Along": 1, "Convolution": 1}),
    "pool, transposed conv": (lambda: Chain(nn.AvgPool2d(2), nn.ConvTranspose2d(4, 3, 2)), IMAGE, {"Along": 1, "Convolution": 1}),
    "pool3d, conv3d": (lambda: Chain(nn.AvgPool3d((1, 3, 2)), nn.Conv3d(2, 3, (2, 1, 1))), (2, 3, 3, 4), {"Convolution": 1}),
    "pool, flatten, Linear": (lambda: Chain(nn.AvgPool2d(2), flatten(), nn.Linear(24, 3)), IMAGE, {"Full": 1}),
    "BN, flatten, Linear": (lambda: Chain(nn.BatchNorm2d(4), flatten(), nn.Linear(96, 3)), IMAGE, {"Full": 1}),
    "permuted, flatten, Linear": (lambda: Chain(lambda x: x.permute(0, 2, 3, 1), flatten(), nn.Linear(96, 3)), IMAGE, {"Full": 1}),
    "upsampled, flatten, Linear": (lambda: Chain(nn.Upsample(scale_factor=2), flatten(), nn.Linear(384, 3)), IMAGE, {"Full": 1}),
    "Linear, slice": (lambda: Chain(nn.Linear(6, 5), lambda x: x[:, 1:3]), (6,), {"Full": 1}),
    "concatenation, conv": (lambda: Chain(cat(relu, torch.tanh), nn.Conv2d(8, 3, 3, padding=1)), IMAGE,
                            {"Pointwise": 2, "Convolution": 2, "Sum": 1}),
    "concatenation, BN, conv": (lambda: Chain(cat(relu, torch.tanh), nn.BatchNorm2d(8), nn.Conv2d(8, 3, 3, padding=1)), IMAGE,
                                {"Pointwise": 2, "Convolution": 2, "Sum": 1}),
    "concatenation, transposed conv": (lambda: Chain(cat(relu, torch.tanh), nn.ConvTranspose2d(8, 3, 3)), IMAGE,
                                       {"Pointwise": 2, "Convolution": 2, "Sum": 1}),
    "concatenation, conv of groups": (lambda: Chain(cat(relu, torch.tanh), nn.Conv2d(8, 4, 3, groups=2)), IMAGE,
                                      {"Pointwise": 2, "Along": 2, "Sum": 1, "Convolution": 1}),
    "concatenation along space, conv": (lambda: Chain(lambda x: torch.cat([x.relu(), x.tanh()], 3), nn.Conv2d(4, 4, 3)), IMAGE,
                                        {"Pointwise": 2, "Along": 2, "Sum": 1, "Convolution": 1}),
    "concatenation, flatten, Linear": (lambda: Chain(cat(relu, torch.tanh), flatten(), nn.Linear(192, 3)), IMAGE,
                                       {"Pointwise": 2, "Full": 2, "Sum": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", MERGED)
def test_what_is_left(name, randomized, images):
    make, shape, left = MERGED[name]
    found = same(trace(randomized(make), images(shape)), images(shape))
    assert left is None or kinds(found) == Counter(left) + Counter({"Input": 1})


SHARED = {  # modules in which several read the same linear operator
    "conv and neuron": lambda m, x: torch.cat([m.norm(m.first(x)).relu(), m.second(m.norm(m.first(x)))], 1),
    "two norms": lambda m, x: (lambda y: m.norm(y).relu() + m.other(y).relu())(m.first(x)),
    "norm and the plain sum": lambda m, x: (lambda y: m.norm(y).relu() * y)(m.first(x)),
    "two convs behind a norm": lambda m, x: (lambda y: m.second(y) + m.third(y))(m.norm(x)),
    "conv and skip behind a norm": lambda m, x: (lambda y: m.second(y) + y)(m.norm(m.first(x))),
    "two convs behind pooling": lambda m, x: (lambda y: m.second(y) + m.third(y))(functional.avg_pool2d(x, 2)),
    "pooling read as it is": lambda m, x: (lambda y: m.second(y).relu() + y.relu())(functional.avg_pool2d(x, 2)),
    "concatenation read twice": lambda m, x: (lambda y: m.wide(y) + y[:, 1:5].relu())(torch.cat([x.relu(), m.norm(x)], 1)),
    "output read inside": lambda m, x: (lambda y: y + 0.0 * m.second(y))(m.first(x)),
    "three slices of one": lambda m, x: (lambda y: y[:, :1] * y[:, 1:2] + y[:, 2:3].relu())(m.norm(m.first(x))),
}


class Shared(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.compute = SHARED[name]
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.first, self.second, self.third, self.wide = (nn.Conv2d(width, 4, 3, padding=1) for width in (4, 4, 4, 8))

    def forward(self, x):
        return self.compute(self, x)


@pytest.mark.parametrize("name", SHARED)
def test_what_several_read(name, randomized, images):
    same(trace(randomized(lambda: Shared(name)), images(IMAGE)), images(IMAGE))


def test_the_cost_of_a_shared_operator_is_divided_among_its_readers(images):
    module = Chain(nn.Linear(6, 9), lambda x: x[..., :3].relu() * x[..., 3:6].tanh() + x[..., 6:].sigmoid())
    found = same(trace(module, images((5, 6))), images((5, 6)))
    assert macs(found) == 5 * 54
    assert [node.macs for node in found if isinstance(node.operator, Along)] == [90, 90, 90]


def test_large_matrices_are_not_merged_into_larger_ones(images, monkeypatch):
    monkeypatch.setattr("spikesim.convert.rewrite.LARGEST", 4 * 95)
    graph = trace(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)), images(IMAGE))
    assert kinds(same(graph, images(IMAGE)))["Along"] == 1
    monkeypatch.setattr("spikesim.convert.rewrite.LARGEST", 4 * 96)
    assert kinds(same(graph, images(IMAGE)))["Along"] == 0


def test_a_bias_goes_through_padding(images):
    """At the border fewer places of a constant are seen, so the bias is not one number a channel."""
    module = Chain(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3, padding=1, bias=False))
    with torch.no_grad():
        module[0].bias.fill_(2.0)
        module[1].weight.fill_(1.0)
    found = same(trace(module, images((1, 3, 4))), images((1, 3, 4)))
    bias = found.nodes[found.output].bias
    np.testing.assert_allclose(bias, 2.0 * np.array([[[4.0, 6.0, 6.0, 4.0], [6.0, 9.0, 9.0, 6.0], [4.0, 6.0, 6.0, 4.0]]]))


ANY = {  # name: a layer for so many channels and such a space
    "bn": lambda c, h, w: nn.BatchNorm2d(c),
    "conv": lambda c, h, w: nn.Conv2d(c, 2, (min(h, 2), min(w, 3)), padding=(0, 1)),
    "depthwise": lambda c, h, w: nn.Conv2d(c, 2 * c, 1, groups=c),
    "transposed": lambda c, h, w: nn.ConvTranspose2d(c, 2, 2, 2),
    "pool": lambda c, h, w: nn.AvgPool2d((2 if h > 1 else 1, 2 if w > 1 else 1)),
    "shuffle": lambda c, h, w: nn.ChannelShuffle(2 if c % 2 == 0 else 1),
    "pad": lambda c, h, w: nn.ConstantPad2d((1, 0, 0, 2), 0.5),
    "reflect": lambda c, h, w: nn.ReflectionPad2d((0, 1 if w > 1 else 0, 0, 0)),
    "upsample": lambda c, h, w: nn.Upsample(scale_factor=2, mode="bilinear"),
    "relu": lambda c, h, w: nn.ReLU(),
}


class Skipping(nn.Module):
    """Layers and a head; the mean of what one of them gives is added to the result."""

    def __init__(self, layers, head, read):
        super().__init__()
        self.layers, self.head, self.read = nn.ModuleList(layers), head, read

    def forward(self, x):
        skipped = []
        for at, layer in enumerate(self.layers):
            x = layer(x)
            skipped += [x.flatten(1).mean(1, keepdim=True)] if at == self.read else []
        return sum(skipped, self.head(x.flatten(1)))


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(ANY)), min_size=1, max_size=6), skip=st.integers(0, 5), seed=st.integers(0, 99))
def test_any_chain_of_layers(names, skip, seed):
    """Any order of layers, one of which is read by the output as well, is the same after rewriting."""
    generator = torch.Generator().manual_seed(seed)
    layers, x = [], torch.randn((3, 2, 3, 4), generator=generator, dtype=torch.float64)
    images = x
    with torch.no_grad():
        for name in names:
            if math.prod(x.shape[1:]) > 200:
                break
            layers.append(ANY[name](*x.shape[1:]).double().eval())
            for value in (*layers[-1].parameters(), *layers[-1].buffers()):
                if value.is_floating_point():
                    value.copy_(0.1 + torch.rand(value.shape, generator=generator, dtype=torch.float64))
            x = layers[-1](x)
    head = nn.Linear(x.numel() // 3, 2).double()
    read = min(skip, len(layers))

    same(trace(Skipping(layers, head, read), images), images)
