"""A network with a bottleneck attention module: a gate for each channel and each place of the image.

After Park, Woo, Lee & Kweon (2018), BAM: bottleneck attention module, BMVC.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class ChannelAttention(nn.Module):
    """Of the mean of each channel over the image: (n, channels, 1, 1)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.reduce(self.pool(x)))


class SpatialAttention(nn.Module):
    """Of the surroundings of each place, seen by dilated convolutions: (n, 1, height, width)."""

    def __init__(self, channels: int, reduction: int, dilation: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.reduce = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.context = nn.Sequential(*(_dilated(hidden, dilation) for _ in range(2)))
        self.collapse = nn.Conv2d(hidden, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.collapse(self.context(self.reduce(x)))


class BAM(nn.Module):
    """x + x sigmoid(channel(x) + spatial(x))."""

    def __init__(self, channels: int, *, reduction: int, dilation: int) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(channels, reduction, dilation)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x + x * self.gate(self.channel(x) + self.spatial(x))


class BAMNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); an attention module at the bottleneck between two stages."""

    def __init__(self, *, width: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(_convolution(1, width, 1), _convolution(width, width, 1))
        self.attention = BAM(width, reduction=4, dilation=2)
        self.stage2 = nn.Sequential(_convolution(width, 2 * width, 2), _convolution(2 * width, 2 * width, 1))
        self.pool = nn.AvgPool2d(size // 2)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.stage2(self.attention(self.stage1(x))))))


def digits_bam(*, seed: int = 0) -> BAMNet:
    """16 and 32 channels, for images (n, 1, 8, 8)."""
    return seeded(lambda: BAMNet(width=16, size=8), seed)


def _convolution(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
                         nn.BatchNorm2d(channels_out), nn.ReLU())  # fmt: skip


def _dilated(channels: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
                         nn.BatchNorm2d(channels), nn.ReLU())  # fmt: skip
