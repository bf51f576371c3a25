"""A ShuffleNet: 1 x 1 convolutions within groups of channels, and a shuffle that lets the groups see each other.

After Zhang, Zhou, Lin & Sun (2018), ShuffleNet: an extremely efficient convolutional neural network for mobile devices,
CVPR, 6848-6856.
"""

import torch
from torch import Tensor, nn

from spikesim.models.seeded import seeded


class ChannelShuffle(nn.Module):
    """Channel (group g, member m) becomes channel (m, g)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        x = x.view(n, self.groups, channels // self.groups, height, width)
        return x.transpose(1, 2).reshape(n, channels, height, width)


class ShuffleUnit(nn.Module):
    """Group 1 x 1, shuffle, depthwise 3 x 3, group 1 x 1; added to the input, or, halving the image, beside it pooled."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, groups: int) -> None:
        super().__init__()
        branch = channels_out if stride == 1 else channels_out - channels_in
        hidden = channels_out // 4
        self.stride = stride
        self.compress = nn.Sequential(nn.Conv2d(channels_in, hidden, 1, groups=groups, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.shuffle = ChannelShuffle(groups)
        self.depthwise = nn.Sequential(nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
                                       nn.BatchNorm2d(hidden))  # fmt: skip
        self.expand = nn.Sequential(nn.Conv2d(hidden, branch, 1, groups=groups, bias=False), nn.BatchNorm2d(branch))
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride=2, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(self.depthwise(self.shuffle(self.compress(x))))
        x = self.shortcut(x)
        return self.relu(x + y if self.stride == 1 else torch.cat([x, y], dim=1))


class ShuffleNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); two stages, each halves the image first and doubles the channels."""

    def __init__(self, *, width: int, units: int, groups: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stage1 = _stage(width, units, groups)
        self.stage2 = _stage(2 * width, units, groups)
        self.pool = nn.AvgPool2d(size // 4)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.stage2(self.stage1(self.first(x))))))


def digits_shufflenet(*, seed: int = 0) -> ShuffleNet:
    """Two stages of two units in two groups, for images (n, 1, 8, 8)."""
    return seeded(lambda: ShuffleNet(width=24, units=2, groups=2, size=8), seed)


def _stage(channels: int, units: int, groups: int) -> nn.Sequential:
    rest = [ShuffleUnit(2 * channels, 2 * channels, 1, groups) for _ in range(units - 1)]
    return nn.Sequential(ShuffleUnit(channels, 2 * channels, 2, groups), *rest)
