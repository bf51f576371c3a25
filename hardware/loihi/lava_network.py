"""What is given to Lava and what comes back: integer cells, connections and inputs as plain data."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

LIF, TERNARY, RESET, HOLDING = "lif", "ternary", "reset", "holding"
SPARSE, DENSE, CONV, LEARNING = "sparse", "dense", "conv", "learning"


@dataclass(frozen=True)
class LavaCells:
    """Neurons of one Lava process.

    kind: "lif" (LIF), "ternary" (TernaryLIF), "reset" (LIFReset), "holding" (ours on Lava's arithmetic: refractory, soft reset).
    parameters: int64 (size,) arrays du, dv, vth, bias_mant, bias_exp, u, v; "holding": period, soft; numbers vth_hi and vth_lo of
    "ternary" (in place of vth), interval and offset of "reset".
    """

    kind: str
    size: int
    parameters: dict[str, Any]


@dataclass(frozen=True)
class LavaLinks:
    """One connection process from cells or inputs ``source`` to cells ``target``, both counted cells first, then inputs.

    sources, targets, weights: int64 (synapses,); delays: likewise, 0 to 63, or None; exponent, bits, mode ("mixed", "excitatory",
    "inhibitory" or None for what the weights say), message_bits: as Lava's. kind: "sparse", "dense", "conv", whose weights
    have the shape (C_out, k, k, C_in) and whose ``geometry`` holds input_shape (x, y, c), stride, padding, dilation, or "learning",
    whose ``rule`` holds what Loihi2FLearningRule takes.
    """

    source: int
    target: int
    weights: np.ndarray
    sources: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    targets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    delays: np.ndarray | None = None
    exponent: int = 0
    bits: int = 8
    mode: str | None = None
    message_bits: int = 0
    kind: str = SPARSE
    geometry: dict[str, Any] = field(default_factory=dict)
    rule: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LavaNetwork:
    """Cells, inputs and links; inputs: whole numbers (size, steps), what is sent in each step.

    copies: cells and inputs hold so many copies, one after the other, of the network that the links are of. traced: for each cells
    those whose u and v are told, int64; None for all.
    """

    cells: tuple[LavaCells, ...]
    links: tuple[LavaLinks, ...]
    inputs: tuple[np.ndarray, ...] = ()
    copies: int = 1
    traced: tuple[np.ndarray, ...] | None = None


@dataclass(frozen=True)
class LavaResult:
    """For each cells of a network (steps, size): spikes, and (steps, traced) u and v after each step (None if not asked for).

    int32, of floating-point models float64; seconds: of running all steps but the first, whose call builds and starts the processes.
    weights: for each link that learns whole numbers (times, synapses).
    """

    spikes: tuple[np.ndarray, ...]
    u: tuple[np.ndarray, ...] | None
    v: tuple[np.ndarray, ...] | None
    weights: tuple[np.ndarray, ...]
    seconds: float
