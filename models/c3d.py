"""A 3-D convolutional network: filters over depth, height and width.

After Tran, Bourdev, Fergus, Torresani & Paluri (2015), Learning spatiotemporal features with 3D convolutional networks,
ICCV, 4489-4497.
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class C3D(nn.Module):
    """Volumes (n, 1, depth, size, size) -> logits (n, classes); two 3 x 3 x 3 convolutions, each halved by pooling."""

    def __init__(self, *, width: int, depth: int, size: int, dense: int, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, width, 3, padding=1, bias=False), nn.BatchNorm3d(width), nn.ReLU(), nn.AvgPool3d(2),
            nn.Conv3d(width, 2 * width, 3, padding=1, bias=False), nn.BatchNorm3d(2 * width), nn.ReLU(), nn.AvgPool3d(2),
        )  # fmt: skip
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Linear(2 * width * (depth // 4) * (size // 4) ** 2, dense), nn.ReLU(), nn.Linear(dense, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.features(x)))


def digits_c3d(*, seed: int = 0) -> C3D:
    """For the digits as volumes (n, 1, 4, 8, 8), `spikesim.models.data.digit_volumes`."""
    return seeded(lambda: C3D(width=8, depth=4, size=8, dense=32), seed)
