"""A DenseNet: each layer sees the outputs of all layers before it; batch norm and ReLU come before the convolution.

After Huang, Liu, van der Maaten & Weinberger (2017), Densely connected convolutional networks, CVPR, 4700-4708.
"""

import torch
from torch import Tensor, nn

from spikesim.models.seeded import seeded


class DenseLayer(nn.Module):
    """Concatenates ``growth`` new channels, conv(relu(norm(x))), to those that it got."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.relu(self.norm(x)))], dim=1)


class Transition(nn.Module):
    """Halves the channels and, by average pooling, the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(self.relu(self.norm(x))))


class DenseNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); two dense blocks with a transition between them."""

    def __init__(self, *, growth: int, layers: int, size: int, classes: int = 10) -> None:
        super().__init__()
        channels = 2 * growth
        self.conv = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.block1 = _block(channels, growth, layers)
        channels += layers * growth
        self.transition = Transition(channels)
        channels //= 2
        self.block2 = _block(channels, growth, layers)
        channels += layers * growth
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(size // 2)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.transition(self.block1(self.conv(x))))
        return self.classifier(self.flatten(self.pool(self.relu(self.norm(x)))))


def digits_densenet(*, seed: int = 0) -> DenseNet:
    """Two blocks of three layers that add eight channels each, for images (n, 1, 8, 8)."""
    return seeded(lambda: DenseNet(growth=8, layers=3, size=8), seed)


def _block(channels: int, growth: int, layers: int) -> nn.Sequential:
    return nn.Sequential(*(DenseLayer(channels + index * growth, growth) for index in range(layers)))
