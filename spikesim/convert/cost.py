"""What a network costs: multiply-accumulates of the original, synaptic operations of the spikes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.convert.graph import CONVOLUTIONS, Stage, eval_mode, first_sample

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def multiply_accumulates(module: nn.Module, example: Any) -> dict[str, int]:
    """For each stage of `linear_stages`, by name, the layer's multiply-accumulates for one input (padding included)."""
    found: dict[str, int] = {}

    def count(name: str):
        def hook(layer: Any, inputs: Any, output: torch.Tensor) -> None:
            used = sum(1 for key in found if key == name or key.startswith(f"{name} #"))
            found[f"{name} #{used + 1}" if used else name] = output[0].numel() * layer.weight[0].numel()

        return hook

    root = nn.Sequential(module) if isinstance(module, WEIGHTED) else module  # as `linear_stages` names a bare layer
    hooks = [layer.register_forward_hook(count(name)) for name, layer in root.named_modules() if isinstance(layer, WEIGHTED)]
    try:
        with eval_mode(module), torch.no_grad():
            module(first_sample(module, example))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def fan_out(stage: Stage, sources: int) -> np.ndarray:
    """How many synapses each neuron before ``stage`` has onto it, int64 (sources,); no synapse leads beyond the border."""
    if stage.kind == "dense":
        return np.full(sources, stage.out_shape[0], np.int64)
    # the gradient of the sum of a convolution with ones counts the outputs that each input enters
    image = torch.ones((1, *stage.in_shape), dtype=torch.float64, requires_grad=True)
    ones = torch.ones(stage.weights.shape, dtype=torch.float64)
    CONVOLUTIONS[ones.ndim - 2](image, ones, None, stage.stride, stage.padding, stage.dilation, stage.groups).sum().backward()
    assert image.grad is not None
    return np.rint(image.grad.numpy().reshape(-1)).astype(np.int64)


def synaptic_operations(stages: Sequence[Stage], counts: Sequence[np.ndarray], images: int) -> np.ndarray:
    """Additions that the spikes caused, int64 (images,); ``counts``: for each spiking stage int64 (images, neurons)."""
    total = np.zeros(images, np.int64)
    for stage, spikes in zip(stages[1:], counts, strict=True):
        total += spikes @ fan_out(stage, math.prod(stage.in_shape))
    return total
