"""A VGG: stacks of 3 x 3 convolutions, each stack followed by max-pooling, then dense layers.

After Simonyan & Zisserman (2015), Very deep convolutional networks for large-scale image recognition, ICLR.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class VGG(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes); ``stacks``: the channels of each convolution, stack by stack."""

    def __init__(self, *, stacks: tuple[tuple[int, ...], ...], size: int, dense: int, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for stack in stacks:
            for width in stack:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        positions = (size // 2 ** len(stacks)) ** 2
        self.classifier = nn.Sequential(nn.Linear(channels * positions, dense), nn.ReLU(), nn.Linear(dense, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.features(x)))


def digits_vgg(*, seed: int = 0) -> VGG:
    """Four convolutions in two stacks, for images (n, 1, 8, 8)."""
    return seeded(lambda: VGG(stacks=((16, 16), (32, 32)), size=8, dense=64), seed)
