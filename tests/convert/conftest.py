"""The networks that the tests of the conversion share."""

import functools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikesim.convert import ConvertedNetwork, from_torch
from spikesim.convert.graph import Graph
from spikesim.convert.operators import Shape
from spikesim.convert.trace import trace


def chain(*layers):
    return lambda: nn.Sequential(*[layer() for layer in layers])


class Net(nn.Module):
    """A network from its parts and a forward."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.compute = forward
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x):
        return self.compute(self, x)


class Block(nn.Module):
    """A residual block with a projection, as in ResNet."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)) if stride > 1 else None

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Dense(nn.Module):
    """A dense block with pre-activation."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (2, 4, 6))
        self.convs = nn.ModuleList(nn.Conv2d(width, 2, 3, padding=1) for width in (2, 4, 6))

    def forward(self, x):
        features = [x]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(functional.relu(norm(torch.cat(features, 1)), inplace=True)))
        return torch.cat(features, 1)


class Attention(nn.Module):
    """A transformer block written out."""

    def __init__(self, width=6, heads=2):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 9), nn.GELU(), nn.Dropout(0.1), nn.Linear(9, width))

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = (part.reshape(batch, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(width // self.heads)
        x = x + self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norm2(x))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(functional.silu(self.down(functional.adaptive_avg_pool2d(x, 1)))))


def gcn(m, x):
    return m.second(m.adjacency @ functional.relu(m.adjacency @ m.first(x))).mean(1)


def qkv(m, x):
    q, k, v = m.qkv(m.norm(x)).reshape(x.shape[0], x.shape[1], 3, 2, -1).permute(2, 0, 3, 1, 4)
    return x + functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)


def mha(m, x):
    return x + m.attention(x, x, x, need_weights=False)[0]


def shared(m, x):
    for _ in range(3):
        x = m.act(m.layer(x))
    return x


def reused():
    return Net(shared, act=nn.ReLU(), layer=nn.Linear(6, 6))


def unet(m, x):
    low = functional.max_pool2d(functional.relu(m.down(x)), 2)
    high = functional.interpolate(functional.relu(m.low(low)), scale_factor=2.0, mode="bilinear", align_corners=False)
    return m.up(torch.cat([high, x], dim=1))


def quantised(m, x):
    return m.head((torch.clamp(m.layer(x), 0.0, 1.0) * 4.0) / 4.0)


VECTOR, TOKENS, SMALL = (6,), (4, 6), (2, 6, 6)
NETS = {  # name: (module, shape of one input)
    "MLP": (chain(nn.Flatten, lambda: nn.Linear(72, 8), nn.ReLU, lambda: nn.Linear(8, 3)), SMALL),
    "conv-bn-relu-avgpool": (chain(lambda: nn.Conv2d(2, 4, 3, padding=1), lambda: nn.BatchNorm2d(4), nn.ReLU, lambda: nn.AvgPool2d(2),
                                   nn.Flatten, lambda: nn.Linear(36, 3)), SMALL),
    "conv max-pool": (chain(lambda: nn.Conv2d(2, 4, 3), nn.ReLU, lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Flatten,
                            lambda: nn.LazyLinear(3)), SMALL),
    "conv1d": (chain(lambda: nn.Conv1d(4, 6, 3), lambda: nn.BatchNorm1d(6), nn.ReLU, lambda: nn.AdaptiveAvgPool1d(1), nn.Flatten,
                     lambda: nn.Linear(6, 2)), TOKENS),
    "conv3d": (chain(lambda: nn.Conv3d(2, 4, 2), lambda: nn.BatchNorm3d(4), nn.ReLU, lambda: nn.AvgPool3d((1, 1, 2)), nn.Flatten,
                     lambda: nn.LazyLinear(2)), (2, 3, 3, 3)),
    "Linear + BN1d": (chain(lambda: nn.Linear(6, 8), lambda: nn.BatchNorm1d(8), nn.ReLU, lambda: nn.Linear(8, 3)), VECTOR),
    "residual": (chain(lambda: Block(2, 2, 1), lambda: Block(2, 4, 2)), SMALL),
    "concat": (lambda: Net(lambda m, x: m.head(torch.cat([m.a(x).relu(), torch.relu(m.b(x))], 1).flatten(1)), a=nn.Conv2d(2, 2, 3),
                           b=nn.Conv2d(2, 3, 3), head=nn.Linear(80, 3)), SMALL),
    "module used again": (reused, VECTOR),
    "shuffle, group, depthwise": (chain(lambda: nn.Conv2d(2, 4, 1, groups=2), lambda: nn.ChannelShuffle(2), nn.ReLU,
                                        lambda: nn.Conv2d(4, 4, 3, groups=4), nn.ReLU6, nn.Flatten, lambda: nn.Linear(64, 2)), SMALL),
    "GCN": (lambda: Net(gcn, first=nn.Linear(6, 5), second=nn.Linear(5, 3), adjacency=torch.rand(4, 4)), TOKENS),
    "sparse GCN": (lambda: Net(lambda m, x: m.first(x) @ m.adjacency, first=nn.Linear(6, 6), adjacency=torch.eye(6).roll(1, 0).to_sparse()),
                   VECTOR),
    "qkv in one": (lambda: Net(qkv, norm=nn.LayerNorm(6), qkv=nn.Linear(6, 18)), TOKENS),
    "tokens first": (lambda: Net(lambda m, x: m.encoder(m.embed(x.permute(1, 0, 2)).relu())[-1], embed=nn.Linear(6, 6),
                                 encoder=nn.TransformerEncoderLayer(6, 2, 8)), TOKENS),
    "SE gate": (chain(lambda: nn.Conv2d(2, 4, 3), lambda: SqueezeExcite(4), nn.ReLU), SMALL),
    "SiLU": (chain(lambda: nn.Linear(6, 5), nn.SiLU, lambda: nn.Linear(5, 2)), VECTOR),
    "tanh and sigmoid": (chain(lambda: nn.Linear(6, 5), nn.Tanh, lambda: nn.Linear(5, 4), nn.Sigmoid, lambda: nn.Linear(4, 2)), VECTOR),
    "softmax head": (chain(lambda: nn.Linear(6, 5), nn.ReLU, lambda: nn.Linear(5, 4), lambda: nn.Softmax(dim=1)), VECTOR),
    "log_softmax head": (chain(lambda: nn.Linear(6, 5), lambda: nn.LogSoftmax(dim=-1)), VECTOR),
    "InstanceNorm": (chain(lambda: nn.Conv2d(2, 3, 3), lambda: nn.InstanceNorm2d(3, affine=True), nn.ReLU), SMALL),
    "generator": (chain(lambda: nn.Linear(6, 12), lambda: nn.Unflatten(1, (3, 2, 2)), lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1),
                        lambda: nn.BatchNorm2d(4), nn.ReLU, lambda: nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh), VECTOR),
    "transformer block": (Attention, TOKENS),
    "vision transformer": (chain(lambda: nn.Conv2d(2, 6, 3, 3), lambda: nn.Flatten(2), lambda: Net(lambda m, x: x.transpose(1, 2)),
                                 Attention, lambda: Net(lambda m, x: x.mean(dim=1)), lambda: nn.Linear(6, 3)), SMALL),
    "MultiheadAttention": (lambda: Net(mha, attention=nn.MultiheadAttention(6, 2, batch_first=True)), TOKENS),
    "autoencoder": (chain(lambda: nn.Conv2d(2, 3, 3, 2, 1), nn.LeakyReLU, lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
                          lambda: nn.Conv2d(3, 2, 3, padding=1), nn.Sigmoid), SMALL),
    "U-Net": (lambda: Net(unet, down=nn.Conv2d(2, 3, 3, padding=1), low=nn.Conv2d(3, 3, 1), up=nn.Conv2d(5, 1, 1)), SMALL),
    "dense block": (Dense, SMALL),
    "MobileNet block": (chain(lambda: nn.Conv2d(2, 6, 1), nn.Hardswish, lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.ReLU6,
                              lambda: SqueezeExcite(6), lambda: nn.Conv2d(6, 2, 1)), SMALL),
    "mixer": (lambda: Net(lambda m, x: x + m.tokens(m.norm(x).transpose(1, 2)).transpose(1, 2), norm=nn.LayerNorm(6),
                          tokens=nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 4))), TOKENS),
    "super-resolution": (chain(lambda: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), nn.PReLU, lambda: nn.PixelShuffle(2)), SMALL),
    "maxout": (lambda: Net(lambda m, x: m.head(m.layer(x).view(x.shape[0], 4, 3).max(dim=2)[0]), layer=nn.Linear(6, 12),
                           head=nn.Linear(4, 2)), VECTOR),
    "quantised": (lambda: Net(quantised, layer=nn.Linear(6, 5), head=nn.Linear(5, 2)), VECTOR),
}  # fmt: skip


def made(make, shape):
    """The module with its lazy layers filled in."""
    module = make()
    module.eval()(torch.zeros(1, *shape))
    return module


def with_random_weights(make, seed=0):
    """The module in float64 with random weights and batch statistics, in training mode."""
    module = make().double().train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point() and tensor.layout == torch.strided and "parametrizations" not in name:
                tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype))
                if name.endswith("running_var"):
                    tensor.abs_().add_(0.1)
    return module


def normal(shape, count=4):
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Network:
    """A module with random weights, in float64 and in training mode, and four inputs."""

    module: nn.Module
    shape: Shape
    images: torch.Tensor

    @functools.cached_property
    def graph(self) -> Graph:
        return trace(self.module, self.images)

    @functools.cache  # noqa: B019  # all networks are kept anyway
    def converted(self, coding: str) -> ConvertedNetwork:
        return from_torch(self.module, self.images, coding=coding)


@functools.cache
def network_named(name):
    make, shape = NETS[name]
    return Network(with_random_weights(lambda: made(make, shape)), shape, normal(shape))


def pytest_generate_tests(metafunc):
    if "network" in metafunc.fixturenames:
        metafunc.parametrize("network", NETS, indirect=True)


@pytest.fixture
def network(request):
    """Each network in turn."""
    return network_named(request.param)


@pytest.fixture
def networks():
    """A network by its name."""
    return network_named


@pytest.fixture
def randomized():
    """``randomized(make, seed=0)``: the module that ``make`` makes, in float64 with random weights, in training mode."""
    return with_random_weights


@pytest.fixture
def images():
    """``images(shape, count=4)``: random inputs."""
    return normal
