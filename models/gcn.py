"""A graph convolutional network: each layer mixes the features of neighbouring nodes, then transforms them.

    y = A relu(A x W1 + b1) W2 + b2,   A = D^-1/2 (adjacency + 1) D^-1/2,   D the degrees, self-loops included

After Kipf & Welling (2017), Semi-supervised classification with graph convolutional networks, ICLR.
"""

import numpy as np
import torch
from torch import Tensor, nn

from spikesim.models.seeded import seeded


class GraphConvolution(nn.Module):
    """Node features (n, nodes, channels in) -> (n, nodes, channels out) on a fixed graph; ``propagation``: A."""

    propagation: Tensor

    def __init__(self, propagation: Tensor, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.register_buffer("propagation", propagation, persistent=False)  # known from the data
        self.linear = nn.Linear(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.propagation @ x)


class GCN(nn.Module):
    """Features (n, nodes, features) of graphs with the same edges -> logits (n, nodes, classes)."""

    def __init__(self, adjacency: np.ndarray, *, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        propagation = torch.as_tensor(normalised(adjacency), dtype=torch.float32)
        self.layer1 = GraphConvolution(propagation, features, hidden)
        self.relu = nn.ReLU()
        self.layer2 = GraphConvolution(propagation, hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.relu(self.layer1(x)))


def normalised(adjacency: np.ndarray) -> np.ndarray:
    """The A of above, of a symmetric adjacency (nodes, nodes) without self-loops."""
    looped = np.asarray(adjacency, dtype=np.float64) + np.eye(len(adjacency))
    scale = 1.0 / np.sqrt(looped.sum(axis=1))
    return scale[:, None] * looped * scale


def graph_gcn(adjacency: np.ndarray, *, features: int = 64, hidden: int = 32, classes: int = 10, seed: int = 0) -> GCN:
    """For the graph of digits, `spikesim.models.data.digit_graph`."""
    return seeded(lambda: GCN(adjacency, features=features, hidden=hidden, classes=classes), seed)
