"""MobileNets: convolutions divided into one within each channel (depthwise) and one across channels (1 x 1).

After Howard et al. (2017), MobileNets, arXiv 1704.04861, and Sandler, Howard, Zhu, Zhmoginov & Chen (2018),
MobileNetV2: inverted residuals and linear bottlenecks, CVPR, 4510-4520.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class DepthwiseSeparable(nn.Module):
    """Version 1: a depthwise, then a 1 x 1 convolution, each with batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, stride=stride, padding=1, groups=channels_in, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.depthwise(x)))
        return self.relu2(self.bn2(self.pointwise(x)))


class InvertedResidual(nn.Module):
    """Version 2: expand with a 1 x 1 convolution, filter each channel, project linearly; ReLU6 between, a shortcut around."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels_in
        self.shortcut = stride == 1 and channels_in == channels_out
        self.expand = nn.Sequential(nn.Conv2d(channels_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6())
        self.filter = nn.Sequential(nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
                                    nn.BatchNorm2d(hidden), nn.ReLU6())  # fmt: skip
        self.project = nn.Sequential(nn.Conv2d(hidden, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.shortcut else y


class MobileNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes): a convolution, ``blocks``, average pooling over ``last`` x ``last``."""

    def __init__(self, first: nn.Module, blocks: list[nn.Module], *, channels: int, last: int, classes: int = 10) -> None:
        super().__init__()
        self.first = first
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AvgPool2d(last)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.blocks(self.first(x)))))


def digits_mobilenet(*, seed: int = 0) -> MobileNet:
    """Version 1 with four blocks, for images (n, 1, 8, 8)."""
    return seeded(_version1, seed)


def digits_mobilenet_v2(*, seed: int = 0) -> MobileNet:
    """Version 2 with four blocks, two of them with a shortcut, for images (n, 1, 8, 8)."""
    return seeded(_version2, seed)


def _version1() -> MobileNet:
    first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks: list[nn.Module] = [DepthwiseSeparable(16, 32, 1), DepthwiseSeparable(32, 32, 2),
                               DepthwiseSeparable(32, 64, 1), DepthwiseSeparable(64, 64, 2)]  # fmt: skip
    return MobileNet(first, blocks, channels=64, last=2)


def _version2() -> MobileNet:
    first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
    blocks: list[nn.Module] = [InvertedResidual(16, 16, 1, 3), InvertedResidual(16, 24, 2, 3),
                               InvertedResidual(24, 24, 1, 3), InvertedResidual(24, 48, 2, 3)]  # fmt: skip
    return MobileNet(first, blocks, channels=48, last=2)
