"""Sizes of the spikes that inputs send: which chip takes them, and how much input they may bring."""

import numpy as np

from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.loihi.circuit import Circuit
from spikesim.hardware.loihi.fired import Fired
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.limits import Chip

MOST = 2**31 - 1  # what the sum of a step's weights is kept in has 32 bits


def strongest(sizes: np.ndarray) -> int:
    """The largest size, whatever its sign; 1 if there is none."""
    return int(np.abs(sizes.astype(np.int64)).max(initial=1))


def check_sizes(chip: Chip, what: Circuit | ChipImage, sent: Fired) -> None:
    """Raise `UnsupportedError` for graded spikes on a chip without them, or from a population whose synapses learn."""
    graded = np.unique(np.searchsorted(what.starts, sent.neurons[sent.sizes != 1], side="right") - 1)
    for name in (what.names[at] for at in graded):
        if chip.payload.value == 0:
            raise UnsupportedError(f"{chip.name}: population {name!r}: its SpikeTrains have sizes, the chip's spikes have none "
                                   f"({chip.payload.source}); use 'loihi2', or leave the sizes out and give the weights")  # fmt: skip
        learning = [each.projection for each in what.plastic if each.source == name]
        if learning:
            raise UnsupportedError(f"projection {learning[0]!r}: its synapses learn from spikes of size 1, those of {name!r} have sizes; "
                                   "give it a population without sizes")  # fmt: skip


def check_input(circuit: Circuit, sent: Fired) -> None:
    """Raise `DescriptionError` where sizes could bring a neuron more in a step than 32 bits hold, should all that send do so at once."""
    largest = np.ones(circuit.neurons)
    np.maximum.at(largest, sent.neurons, np.abs(sent.sizes.astype(np.float64)))
    factor = 2.0 ** np.maximum([port.exponent for port in circuit.ports] or [0], 0)
    amounts = np.abs(circuit.weights) * factor[circuit.port] * largest[circuit.sources]
    total = np.bincount(circuit.targets, amounts, minlength=circuit.neurons)
    if total.max(initial=0.0) > MOST:
        neuron = int(np.argmax(total))
        at = int(np.searchsorted(circuit.starts, neuron, side="right")) - 1
        raise DescriptionError(f"population {circuit.names[at]!r}: neuron {neuron - circuit.starts[at]}: its input in one step could reach "
                               f"{total[neuron]:,.0f} by the sizes of the spikes, at most {MOST:,} can be counted; lower the sizes or the "
                               "weights")  # fmt: skip
