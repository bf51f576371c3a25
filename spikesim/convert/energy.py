"""What a network may cost in energy: counted operations times what one of them takes, by published figures.

An estimate of arithmetic only: memory, neuron updates, communication and leakage are not counted, on either side. The
operators that see the image itself are multiply-accumulates in the spiking network, too: they are computed once an image and
enter as a constant current. A spike of size 1 or -1 costs an addition for each synapse; a graded spike must be
multiplied with the weight and costs a multiply-accumulate.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from spikesim.description import checked_number, limits

ENERGY = limits("pJ", at_least=0.0, varies=False)
GIVEN = "given by the caller"
NANO = 1e-3  # nJ in a pJ


def _published(value: float, source: str) -> Any:
    return field(default=value, metadata={"source": source})


@dataclass(frozen=True)
class EnergyConstants:
    """Energies of one operation in pJ; give others by name.

    mac, ac: a multiply-accumulate and an addition in float32 in 45 nm; loihi: a synaptic operation of the chip Loihi.
    """

    mac: float = _published(4.6, "45 nm CMOS, 0.9 V: 3.7 pJ multiply + 0.9 pJ add, float32; Horowitz 2014, ISSCC")
    ac: float = _published(0.9, "45 nm CMOS, 0.9 V: add, float32; Horowitz 2014, ISSCC")
    loihi: float = _published(23.6, "Loihi, 14 nm, 0.75 V: a synaptic operation; Davies et al. 2018, IEEE Micro 38(1)")

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, checked_number(getattr(self, entry.name), f"EnergyConstants.{entry.name}", ENERGY))

    def sources(self) -> dict[str, str]:
        """Where each number comes from."""
        return {entry.name: entry.metadata["source"] if getattr(self, entry.name) == entry.default else GIVEN for entry in fields(self)}


@dataclass(frozen=True)
class Energy:
    """Energy of one image in nJ.

    ann: of the module; snn: of the spiking network with additions instead of multiplications; loihi: the same with what a
    synaptic operation costs on Loihi; analog: the part of both that turns the image into currents.
    """

    ann: float
    snn: float
    loihi: float
    analog: float
    constants: EnergyConstants


def energy(*, macs: float, analog_macs: float, operations: float, graded_operations: float = 0.0,
           constants: EnergyConstants | None = None) -> Energy:  # fmt: skip
    """The energy of one image.

    macs: multiply-accumulates of the module; analog_macs: those that see the image itself, which the spiking network does
    once an image; operations: synaptic operations of spikes of size 1 or -1; graded_operations: of graded spikes.
    """
    constants = constants or EnergyConstants()
    analog = NANO * constants.mac * analog_macs
    return Energy(
        ann=NANO * constants.mac * macs,
        snn=analog + NANO * (constants.ac * operations + constants.mac * graded_operations),
        loihi=analog + NANO * constants.loihi * (operations + graded_operations),
        analog=analog,
        constants=constants,
    )
