"""A convolutional autoencoder: an image through a narrow code and back; what it cannot rebuild it has not seen before.

After Masci, Meier, Ciresan & Schmidhuber (2011), Stacked convolutional auto-encoders, ICANN, 52-59; the decoder enlarges
by nearest neighbours and convolves, which leaves no checkerboard (Odena, Dumoulin & Olah 2016, Distill).
"""

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class Autoencoder(nn.Module):
    """Images (n, 1, size, size) -> images of the same shape; the code between has ``code`` numbers."""

    def __init__(self, *, width: int, code: int, size: int) -> None:
        super().__init__()
        small = size // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * width * small**2, code), nn.ReLU(),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, 2 * width * small**2), nn.ReLU(), nn.Unflatten(1, (2 * width, small, small)),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def digits_autoencoder(*, seed: int = 0) -> Autoencoder:
    """A code of 16 numbers, for images (n, 1, 8, 8)."""
    return seeded(lambda: Autoencoder(width=16, code=16, size=8), seed)
