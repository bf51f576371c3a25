"""A LeNet for 8 x 8 digits: two convolutions with average pooling, two dense layers.

After LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition,
Proc. IEEE 86:2278-2324; smaller, and with ReLU so that it can be converted to spikes.
"""

import torch
from torch import nn


def digits_lenet(*, seed: int = 0) -> nn.Sequential:
    """The untrained net, images (n, 1, 8, 8) -> logits (n, 10); the same initial weights for the same seed."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
