"""Residual networks: blocks of two convolutions that a shortcut passes by, and their sum.

After He, Zhang, Ren & Sun (2016), Deep residual learning for image recognition, CVPR, 770-778: the nets of its section
4.2 (6 n + 2 layers, widths doubled where the image is halved), with projection shortcuts (option B) there.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class BasicBlock(nn.Module):
    """relu(conv(relu(conv(x))) + shortcut(x)), each convolution with batch norm."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = _projection(channels_in, channels_out, stride) if stride > 1 or channels_in != channels_out else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(residual + self.shortcut(x))


class ResNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); three stages of ``blocks`` blocks, so 6 blocks + 2 layers deep.

    width: channels of the first stage, doubled twice; size: a multiple of 4, since the image is halved twice.
    """

    def __init__(self, *, blocks: int, width: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.stage1 = _stage(blocks, width, width, 1)
        self.stage2 = _stage(blocks, width, 2 * width, 2)
        self.stage3 = _stage(blocks, 2 * width, 4 * width, 2)
        self.pool = nn.AvgPool2d(size // 4)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.flatten(self.pool(x)))


def resnet20(*, width: int = 16, seed: int = 0) -> ResNet:
    """ResNet-20 for images (n, 1, 28, 28)."""
    return seeded(lambda: ResNet(blocks=3, width=width, size=28), seed)


def digits_resnet(*, width: int = 8, seed: int = 0) -> ResNet:
    """One block a stage, ResNet-8, for images (n, 1, 8, 8)."""
    return seeded(lambda: ResNet(blocks=1, width=width, size=8), seed)


def _stage(blocks: int, channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))


def _projection(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out))
