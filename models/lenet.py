"""A LeNet for 8 x 8 digits: two convolutions with average pooling, two dense layers.

After LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition,
Proc. IEEE 86:2278-2324; smaller, and with ReLU so that it can be converted to spikes.
"""

from collections import OrderedDict

import torch
from torch import nn


def digits_lenet(*, seed: int = 0) -> nn.Sequential:
    """The untrained net, images (n, 1, 8, 8) -> logits (n, 10); the same initial weights for the same seed."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1), relu1=nn.ReLU(), pool1=nn.AvgPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1), relu2=nn.ReLU(), pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(), dense1=nn.Linear(128, 64), relu3=nn.ReLU(), dense2=nn.Linear(64, 10),
        ))  # fmt: skip
