"""A SqueezeNet: fire modules, which squeeze the channels with 1 x 1 filters and expand them with 1 x 1 and 3 x 3 ones.

After Iandola, Han, Moskewicz, Ashraf, Dally & Keutzer (2016), SqueezeNet, arXiv 1602.07360.
"""

import torch
from torch import Tensor, nn

from spikesim.models.seeded import seeded


class Fire(nn.Module):
    """``channels_in`` -> ``squeeze`` -> 2 ``expand`` channels."""

    def __init__(self, channels_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeeze, 1)
        self.squeeze_relu = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_relu = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_relu(self.squeeze(x))
        return torch.cat([self.expand1x1_relu(self.expand1x1(x)), self.expand3x3_relu(self.expand3x3(x))], dim=1)


class SqueezeNet(nn.Module):
    """Images (n, 1, size, size) -> logits (n, classes): no dense layer, the last convolution is averaged over the image."""

    def __init__(self, *, size: int, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
            Fire(32, 8, 16), nn.MaxPool2d(2),
            Fire(32, 16, 32), Fire(64, 16, 32),
        )  # fmt: skip
        self.classifier = nn.Conv2d(64, classes, 1)
        self.pool = nn.AvgPool2d(size // 2)
        self.flatten = nn.Flatten()
        for part in self.modules():
            if isinstance(part, nn.Conv2d):  # without batch norm the signal would fade with torch's own, smaller weights
                nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.pool(self.classifier(self.features(x))))


def digits_squeezenet(*, seed: int = 0) -> SqueezeNet:
    """Three fire modules, for images (n, 1, 8, 8)."""
    return seeded(lambda: SqueezeNet(size=8), seed)
