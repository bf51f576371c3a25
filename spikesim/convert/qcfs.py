"""The activation that spikes can express exactly: a ReLU that is clipped at a threshold and has few levels.

Bu, Fang, Ding, Dai, Yu & Huang (2022), Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks, ICLR: quantisation clip-floor-shift.
"""

from typing import Any

import torch
from torch import fx, nn


class _Staircase(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, threshold: torch.Tensor, levels: int) -> torch.Tensor:
        value = torch.clamp(torch.floor(z * levels / threshold + 0.5) / levels, 0.0, 1.0) * threshold
        ctx.save_for_backward(z, threshold, value)
        ctx.levels = levels
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """The paper's: floor passes gradients on unchanged, and nothing does beyond the lowest and the highest step."""
        (gradient,) = gradients
        z, threshold, value = ctx.saved_tensors
        half = 0.5 * threshold / ctx.levels
        above = z >= threshold - half
        between = (z > -half) & ~above
        of_threshold = torch.where(between, (value - z) / threshold, above.to(z.dtype))
        return gradient * between, (gradient * of_threshold).sum_to_size(threshold.shape), None


def staircase(z: torch.Tensor, threshold: torch.Tensor, levels: int) -> torch.Tensor:
    """``threshold * clip(floor(z levels / threshold + 1/2) / levels, 0, 1)``.

    Gradients, with h = threshold / (2 levels) and a for the value: to z 1 where -h < z < threshold - h, else 0; to the threshold
    (a - z) / threshold there, 1 above, 0 below.
    """
    return _Staircase.apply(z, threshold, levels)  # type: ignore[return-value]


fx.wrap("staircase")  # torch.fx shall not look inside


class QCFS(nn.Module):
    """`staircase` with a learned threshold: a number, or one for each channel, of shape (channels, 1, ...) without batch."""

    def __init__(self, levels: int, threshold: torch.Tensor) -> None:
        super().__init__()
        self.levels = levels
        self.threshold = nn.Parameter(threshold.detach().clone())
        self.register_buffer("least", 1e-3 * self.threshold.detach(), persistent=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The activation of z (n, ...)."""
        return staircase(z, self.threshold, self.levels)

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Take back a step of training that made the threshold less than a thousandth of what it began with."""
        self.threshold.copy_(torch.maximum(self.threshold, self.get_buffer("least")))

    def extra_repr(self) -> str:
        """What torch prints between the brackets."""
        shown = f"{self.threshold.item():.4g}" if self.threshold.ndim == 0 else f"one for each of {self.threshold.numel()} channels"
        return f"levels={self.levels}, threshold={shown}"
