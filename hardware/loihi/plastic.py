"""Plastic projections as the chip holds them, and what it cannot hold."""

from dataclasses import dataclass

import numpy as np

from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.unroll import Synapses
from spikesim.network import Projection
from spikesim.plasticity import BOUNDS, LoihiSTDP


@dataclass(frozen=True)
class Plastic:
    """A projection that learns: its name, the populations at its ends, and its rule."""

    projection: str
    source: str
    target: str
    rule: LoihiSTDP


def checked_plastic(synapses: Synapses, projection: Projection) -> Plastic:
    """The projection as `Plastic`; raises for a rule, delays or weights that the learning engine does not have."""
    what, rule = f"projection {projection.name!r}", projection.plasticity
    if not isinstance(rule, LoihiSTDP):
        raise UnsupportedError(f"{what}: the chip learns by LoihiSTDP, not by {type(rule).__name__}")
    if len(synapses.delays) and synapses.delays.max() > 1:
        raise UnsupportedError(f"{what}: synapses that learn have a delay of 1 step, got {synapses.delays.max()}; Lava has no other for "
                               "them. Put the delay into another population")  # fmt: skip
    low, high = BOUNDS[rule.sign]
    bad = (synapses.weights < low) | (synapses.weights > high)
    if bad.any():
        raise DescriptionError(
            f"{what}: with the sign {rule.sign!r} weights lie between {low} and {high}, got {synapses.weights[bad][0]:g}"
        )
    odd = synapses.weights % 2 != 0
    if rule.sign == "mixed" and odd.any():
        raise DescriptionError(f"{what}: with the sign 'mixed' weights start even (8 bits and a sign), got {synapses.weights[odd][0]:g}")
    return Plastic(projection.name, projection.source.population, projection.target.population, rule)


def stored_bits(rule: LoihiSTDP) -> int:
    """Bits of a synapse's weight, which may take any value of its range."""
    low, high = BOUNDS[rule.sign]
    return int(np.ceil(np.log2(high - low + 1)))
