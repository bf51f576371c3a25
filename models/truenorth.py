"""Networks trained for TrueNorth: spikes of 0 and 1, weights of -1, 0 and 1, thresholds, groups that fit a core.

After Esser et al. (2016), Convolutional networks for fast, energy-efficient neuromorphic computing, PNAS 113:11441-11446: ternary
weights and binary neurons with straight-through gradients. A layer is divided into groups of at most 127 inputs, since an input
takes two axons of a core, one for each sign. A neuron forgets in every tick, so a layer takes one tick, and a new image may follow
in each. The outputs are several neurons for each class, which vote.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.connectivity.rules import Matrix
from spikesim.errors import DescriptionError
from spikesim.models.train import train
from spikesim.network import Network
from spikesim.neurons.truenorth import TrueNorth
from spikesim.recording import Recording
from spikesim.stimulus import SpikeTrains

MOST_INPUTS = 127  # of a group: 254 axons


class _Rounded(torch.autograd.Function):
    """Rounds forward and lets the gradient through (Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return grad


class _Spike(torch.autograd.Function):
    """1 from 0 on, else 0; the gradient is a triangle of ``width`` on both sides (Esser et al. 2016)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, width: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.width = width
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return grad * (1 - x.abs() / ctx.width).clamp(min=0) / ctx.width, None


class TernaryLayer(nn.Module):
    """Groups of neurons; group g reads the inputs ``reads[g]``. Spikes (n, inputs) -> spikes (n, groups x neurons)."""

    def __init__(self, reads: torch.Tensor, neurons: int) -> None:
        super().__init__()
        if reads.shape[1] > MOST_INPUTS:
            raise DescriptionError(f"TernaryLayer: a group has at most {MOST_INPUTS} inputs, two axons each, got {reads.shape[1]}")
        self.reads: torch.Tensor
        self.register_buffer("reads", reads)
        groups, inputs = reads.shape
        self.weight = nn.Parameter(torch.empty(groups, inputs, neurons).uniform_(-1.0, 1.0))
        self.threshold = nn.Parameter(torch.ones(groups, neurons))

    def ternary(self) -> torch.Tensor:
        """The weights in use, -1, 0 and 1, (groups, inputs, neurons)."""
        return _Rounded.apply(self.weight.clamp(-1.0, 1.0))  # type: ignore[return-value]

    def thresholds(self) -> torch.Tensor:
        """The thresholds in use, whole numbers, (groups, neurons)."""
        return _Rounded.apply(self.threshold.clamp(-255.0, 255.0))  # type: ignore[return-value]

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        sums = torch.einsum("ngi,gio->ngo", spikes[:, self.reads], self.ternary())
        width = max(1.0, 0.5 * self.reads.shape[1] ** 0.5)
        return _Spike.apply(sums - self.thresholds(), width).flatten(1)  # type: ignore[union-attr]


class TernaryNet(nn.Module):
    """Layers of `TernaryLayer` on images in levels; (n, channels, height, width) in 0..1 -> votes (n, classes).

    levels: the shares of full ink; a pixel is one line for each level that it reaches. Neuron k of the last layer votes for class
    k modulo ``classes``.
    """

    def __init__(self, levels: Sequence[float], layers: Sequence[TernaryLayer], classes: int) -> None:
        super().__init__()
        self.levels: torch.Tensor
        self.register_buffer("levels", torch.tensor(levels))
        self.layers = nn.ModuleList(layers)
        self.classes = classes
        self.scale = nn.Parameter(torch.tensor(1.0))

    def lines(self, images: torch.Tensor) -> torch.Tensor:
        """The images as spikes, (n, pixels x levels)."""
        return (images.flatten(1)[:, :, None] >= self.levels).to(images).flatten(1)

    def votes(self, images: torch.Tensor) -> torch.Tensor:
        """How many output neurons of each class fire."""
        spikes = self.lines(images)
        for layer in self.layers:
            spikes = layer(spikes)
        return spikes.unflatten(1, (-1, self.classes)).sum(dim=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.votes(images) * self.scale


def patches(height: int, width: int, levels: int, size: int, stride: int) -> torch.Tensor:
    """The lines of each square of ``size`` x ``size`` pixels, (patches, size**2 x levels), for `TernaryLayer`."""
    pixels = torch.arange(height * width).reshape(height, width)
    squares = pixels.unfold(0, size, stride).unfold(1, size, stride).reshape(-1, size * size)
    return (squares[:, :, None] * levels + torch.arange(levels)).flatten(1)


def shuffled(inputs: int, groups: int, generator: torch.Generator) -> torch.Tensor:
    """All inputs dealt out to groups at random, (groups, inputs / groups)."""
    return torch.randperm(inputs, generator=generator)[: inputs // groups * groups].reshape(groups, -1)


def digits_ternary(*, seed: int = 0) -> TernaryNet:
    """The untrained net for images (n, 1, 8, 8): 9 patches, two layers of groups, 60 votes for each digit."""
    levels = (0.15, 0.4, 0.65, 0.9)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        deal = torch.Generator().manual_seed(seed)
        first = TernaryLayer(patches(8, 8, len(levels), 4, 2), 56)
        second = TernaryLayer(torch.cat([shuffled(9 * 56, 4, deal) for _ in range(3)]), 63)
        return TernaryNet(levels, [first, second, TernaryLayer(shuffled(12 * 63, 6, deal), 100)], 10)


def fashion_ternary(*, seed: int = 0) -> TernaryNet:
    """The untrained net for images (n, 1, 28, 28): 49 patches of 7 x 7, three layers of groups, 80 votes for each class."""
    levels = (0.2, 0.6)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        deal = torch.Generator().manual_seed(seed)
        first = TernaryLayer(patches(28, 28, len(levels), 7, 3), 64)
        second = TernaryLayer(shuffled(64 * 64, 32, deal).reshape(32, 128)[:, :126], 64)
        third = TernaryLayer(shuffled(32 * 64, 16, deal)[:, :127], 64)
        return TernaryNet(levels, [first, second, third, TernaryLayer(shuffled(16 * 64, 8, deal)[:, :127], 100)], 10)


STAGES = ((20, 0.05), (15, 0.015), (10, 0.004))  # epochs and rate


def train_ternary(net: TernaryNet, images: Any, labels: Any, *, stages: Sequence[tuple[int, float]] = STAGES, batch: int = 64,
                  seed: int = 0) -> TernaryNet:  # fmt: skip
    """Train in place, in stages of (epochs, rate): the last, small steps settle the rounded weights."""
    for epochs, rate in stages:
        net = train(net, images, labels, epochs=epochs, rate=rate, batch=batch, seed=seed)
    return net


def ternary_network(net: TernaryNet, images: Any) -> Network:
    """The trained net as spiking neurons, which are shown image k in tick k; populations "lines", "layer0", ...; run with dt=1.

    A neuron with the leak -threshold, a threshold of 0 and a floor that resets at 0 fires if its inputs reach the threshold, and
    forgets them in either case. The votes on image k are the spikes of the last layer in tick k + layers - 1.
    """
    made = Network()
    with torch.no_grad():
        lines = net.lines(torch.as_tensor(images)).numpy()
        tick, line = np.nonzero(lines)
        before: Any = made.population("lines", lines.shape[1], SpikeTrains(tick + 1.0, line))
        for k, layer in enumerate(net.layers):
            assert isinstance(layer, TernaryLayer)
            weights, thresholds = layer.ternary().numpy(), layer.thresholds().numpy().ravel()
            matrix = np.zeros((len(before), len(thresholds)))
            for group, (reads, block) in enumerate(zip(layer.reads.numpy(), weights, strict=True)):
                matrix[reads, group * block.shape[1] : (group + 1) * block.shape[1]] = block
            model = TrueNorth(leak=-thresholds, v_threshold=0, v_floor=0, floor_resets=True)
            population = made.population(f"layer{k}", len(thresholds), model)
            made.project(before, population, Matrix(matrix), delay=0.0 if k == 0 else 1.0)
            before = population
    made.record(before)
    return made


def votes_of(net: TernaryNet, recording: Recording, images: int) -> np.ndarray:
    """The votes (images, classes) in a recording of `ternary_network` over images + layers - 1 ticks or more."""
    spikes = recording.spikes[f"layer{len(net.layers) - 1}"]
    shown = np.rint(spikes.times).astype(np.int64) - len(net.layers)
    used = (shown >= 0) & (shown < images)
    votes = np.zeros((images, net.classes), np.int64)
    np.add.at(votes, (shown[used], spikes.ids[used] % net.classes), 1)
    return votes
