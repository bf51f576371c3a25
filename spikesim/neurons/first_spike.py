"""The latency encoder: one spike for each neuron, the earlier the stronger its input."""

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar

from spikesim.description import real, whole
from spikesim.errors import DescriptionError
from spikesim.neurons.graded import LARGEST_BURST
from spikesim.neurons.model import Neuron
from spikesim.synapses import Receptor


def first_spike_step(elapsed, current, jump, conductance, pull, injected, quantum, window):
    """Fire in the step in which as many steps of the window are left as the input has quanta."""
    left = window - elapsed
    wanted = min(math.floor(injected / quantum + 0.5), window)
    return elapsed + 1, left if wanted == left and left > 0 else 0


class FirstSpike(Neuron):
    """Sends its constant input as the time of a single spike.

        k = floor(I / quantum + 1/2), at most window;   a spike of size k in step window + 1 - k, none if k < 1

    So the strongest input fires first, and a spike in step t stands for window + 1 - t quanta, which is its size: the weight
    of a spike falls with time (Thorpe, Delorme & Van Rullen 2001, Spike-based strategies for rapid processing).

    | parameter | unit | meaning |
    |-----------|------|---------|
    | quantum   | pA   | the input of a spike of size 1, in the last step of the window |
    | window    |      | number of steps in which it may fire, up to 2**30 |

    The input is that of its stimuli, such as a `DirectCurrent`. It has no receptors.
    """

    GRADED: ClassVar[bool] = True
    STATE: ClassVar[tuple[str, ...]] = ("elapsed",)
    quantum: Any = real(default=1.0, unit="pA", above=0.0, varies=True)
    window: int = whole(default=32, at_least=1)
    receptors: Mapping[str, Receptor] = field(default_factory=dict)

    def check(self) -> None:
        self.check_receptors(())
        if self.window > LARGEST_BURST:
            raise DescriptionError(f"FirstSpike.window: expected at most {LARGEST_BURST}, got {self.window}")

    def membrane(self) -> Callable:
        return first_spike_step

    def largest_spike(self) -> int:
        return self.window

    def coefficients(self, h):
        return {"quantum": self.quantum, "window": float(self.window)}

    def receptor_coefficients(self, h):
        return {}

    def initial(self):
        return {}
