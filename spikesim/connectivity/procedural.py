"""Synapses that are not stored: the row of a neuron is drawn again whenever it fires (Knight & Nowotny 2021).

Every draw is named by the number of its synapse, so a row comes out the same each time, and the same as in a table.

Knight JC, Nowotny T (2021) Larger GPU-accelerated brain simulations with procedural connectivity. Nat Comput Sci 1:136-142.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikesim.connectivity.pairs import ROWS, kernel_of, one_to_one
from spikesim.connectivity.rules import Rule
from spikesim.connectivity.tables import Piece


@dataclass(frozen=True)
class Rows:
    """The synapses of one projection from population ``source`` to the input slots of one part."""

    source: int
    neurons: int  # of the source population
    part: int
    piece: Piece  # its slots are counted from the first of all

    @cached_property
    def out_degrees(self) -> np.ndarray:
        """How many synapses each source neuron has, int64; they are drawn to be counted."""
        piece, counts = self.piece, np.zeros(self.neurons, np.int64)
        for chunk in piece.pairs.chunks(piece.first, piece.last):
            counts += np.bincount(piece.source_start + piece.source_step * chunk.sources, minlength=self.neurons)
        return counts


def drawn_by_source(rule: Rule) -> bool:
    """Whether the synapses of one source can be drawn without those of the others."""
    return kernel_of(rule) in {one_to_one, *ROWS}
