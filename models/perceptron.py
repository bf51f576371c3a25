"""Perceptrons: one dense layer, and several with ReLU between them.

Rosenblatt (1958), The perceptron, Psychological Review 65:386-408; Rumelhart, Hinton & Williams (1986), Learning
representations by back-propagating errors, Nature 323:533-536.
"""

from itertools import pairwise

from torch import Tensor, nn

from spikesim.models.seeded import seeded


class MLP(nn.Module):
    """Inputs (n, ...) of ``sizes[0]`` numbers -> (n, sizes[-1]); no hidden layer, two sizes, makes a perceptron."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(*(nn.Sequential(nn.Linear(here, there), nn.ReLU()) for here, there in pairwise(sizes[:-1])))
        self.output = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(self.flatten(x)))


def digits_perceptron(*, seed: int = 0) -> MLP:
    """Images (n, 1, 8, 8) -> logits (n, 10), linearly."""
    return seeded(lambda: MLP(64, 10), seed)


def digits_mlp(*, seed: int = 0) -> MLP:
    """Images (n, 1, 8, 8) -> logits (n, 10)."""
    return seeded(lambda: MLP(64, 64, 32, 10), seed)


def diabetes_mlp(*, seed: int = 0) -> MLP:
    """Ten measurements (n, 10) -> progression of the disease (n, 1)."""
    return seeded(lambda: MLP(10, 32, 16, 1), seed)
