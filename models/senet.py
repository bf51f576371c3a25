"""A squeeze-and-excitation network: gates, computed from the mean of each channel, that scale the channels.

After Hu, Shen & Sun (2018), Squeeze-and-excitation networks, CVPR, 7132-7141.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class SqueezeExcitation(nn.Module):
    """x * sigmoid(W2 relu(W1 mean(x))), the mean over the image, W1 and W2 as 1 x 1 convolutions."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.relu = nn.ReLU()
        self.expand = nn.Conv2d(channels // reduction, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.relu(self.reduce(self.squeeze(x)))))


class SEBlock(nn.Module):
    """A residual block (see `resnet`) whose residual is gated."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.excitation = SqueezeExcitation(channels, reduction)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(x + self.excitation(residual))


class SENet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); a block, a convolution that halves the image, a block."""

    def __init__(self, *, width: int, reduction: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.block1 = SEBlock(width, reduction)
        self.down = nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.block2 = SEBlock(2 * width, reduction)
        self.pool = nn.AvgPool2d(size // 2)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.down(self.block1(self.first(x))))
        return self.classifier(self.flatten(self.pool(x)))


def digits_senet(*, seed: int = 0) -> SENet:
    """16 and 32 channels, gates through a quarter of them, for images (n, 1, 8, 8)."""
    return seeded(lambda: SENet(width=16, reduction=4, size=8), seed)
