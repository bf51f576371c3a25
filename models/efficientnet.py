"""An EfficientNet: inverted residual blocks (MBConv) with SiLU and squeeze-and-excitation gates.

After Tan & Le (2019), EfficientNet: rethinking model scaling for convolutional neural networks, ICML, 6105-6114.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class Gate(nn.Module):
    """x * sigmoid(W2 silu(W1 mean(x))): squeeze and excitation as EfficientNet has it."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.silu = nn.SiLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.silu(self.reduce(self.squeeze(x)))))


class MBConv(nn.Module):
    """Expand 1 x 1, filter each channel, gate, project linearly; a shortcut around where the shapes agree."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels_in
        self.shortcut = stride == 1 and channels_in == channels_out
        self.expand = nn.Sequential(nn.Conv2d(channels_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.SiLU())
        self.depthwise = nn.Sequential(nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
                                       nn.BatchNorm2d(hidden), nn.SiLU())  # fmt: skip
        self.excitation = Gate(hidden, channels_in // 4)
        self.project = nn.Sequential(nn.Conv2d(hidden, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.excitation(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class EfficientNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); three blocks, of which the second halves the image."""

    def __init__(self, *, width: int, expansion: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.block1 = MBConv(width, width, stride=1, expansion=expansion)
        self.block2 = MBConv(width, 2 * width, stride=2, expansion=expansion)
        self.block3 = MBConv(2 * width, 2 * width, stride=1, expansion=expansion)
        self.head = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width), nn.SiLU())
        self.pool = nn.AvgPool2d(size // 2)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.block3(self.block2(self.block1(self.stem(x)))))
        return self.classifier(self.flatten(self.pool(x)))


def digits_efficientnet(*, seed: int = 0) -> EfficientNet:
    """Three blocks of 16 and 32 channels, expanded threefold, for images (n, 1, 8, 8)."""
    return seeded(lambda: EfficientNet(width=16, expansion=3, size=8), seed)
