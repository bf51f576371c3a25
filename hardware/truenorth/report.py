"""What a mapping did, and what the chip would use."""

from dataclasses import dataclass, field

from spikesim.hardware.truenorth.emulator import Activity
from spikesim.hardware.truenorth.limits import (
    AXONS,
    CHIP_CROSSING,
    CHIP_HEIGHT,
    CHIP_WIDTH,
    HOP,
    IDLE_POWER,
    NEURONS,
    SYNAPTIC_EVENT,
    TICK,
    TYPICAL_POWER,
)

EVENTS_AT_TYPICAL = 2**20 * 20 * 128  # synaptic events a second of the workload of TYPICAL_POWER


@dataclass(frozen=True)
class MappingReport:
    """The chip's resources that a network takes."""

    cores: int  # all
    splitter_cores: int
    neurons: int  # of the network
    copies: int  # neurons in addition, that repeat others
    relays: int  # of splitters
    inputs: int  # lines from outside
    input_axons: int
    outputs: int
    axons: int
    synapses: int  # bits set in the crossbars
    decomposed: int  # neurons of more than four weights
    added_ticks: int
    hops: int  # of one spike on each destination
    farthest: int  # hops of the longest way
    conditions: tuple[str, ...] = field(default=())  # under which the mapping is exact

    @property
    def axon_occupancy(self) -> float:
        """The share of axons in use, of the cores in use."""
        return self.axons / (self.cores * AXONS) if self.cores else 0.0

    @property
    def neuron_occupancy(self) -> float:
        """The share of neurons in use, of the cores in use."""
        return (self.neurons + self.copies + self.relays) / (self.cores * NEURONS) if self.cores else 0.0

    @property
    def crossbar_occupancy(self) -> float:
        """The share of crossbar bits that are set, of the cores in use."""
        return self.synapses / (self.cores * AXONS * NEURONS) if self.cores else 0.0

    def __str__(self) -> str:
        lines = [
            f"TrueNorth: {self.cores} cores ({self.splitter_cores} of splitters), axons {100 * self.axon_occupancy:.0f} %, "
            f"neurons {100 * self.neuron_occupancy:.0f} %, crossbar {100 * self.crossbar_occupancy:.1f} % in use",
            f"{self.neurons:,} neurons, {self.copies:,} copies, {self.relays:,} relays, {self.decomposed:,} with decomposed weights, "
            f"{self.added_ticks} ticks added",
            f"{self.inputs:,} input lines on {self.input_axons:,} axons, {self.outputs:,} outputs; "
            f"{self.hops:,} hops for a spike on every destination, {self.farthest} at most",
        ]
        return "\n".join([*lines, *(f"exact while {condition}" for condition in self.conditions)])


def power(activity: Activity, cores: int) -> dict[str, float]:
    """The power (mW) of ``cores`` cores in real time (1 kHz) at this activity, by two published accounts.

    "events": 26 pJ for each synaptic event, all power of the chip included (Merolla et al. 2014; at 20 Hz and 128 synapses, so it
    is too low for quiet networks). "components": idle power by the cores in use, events at what they add to it in the typical
    workload of Akopyan et al. (2015), hops and crossings between chips.
    """
    seconds = max(activity.ticks, 1) * TICK * 1e-3
    events, hops, crossings = activity.synaptic_events / seconds, activity.hops / seconds, activity.chip_crossings / seconds
    event = (TYPICAL_POWER - IDLE_POWER) * 1e9 / EVENTS_AT_TYPICAL  # pJ
    idle = IDLE_POWER * cores / (CHIP_WIDTH * CHIP_HEIGHT)
    return {"events": events * SYNAPTIC_EVENT * 1e-9, "components": idle + (events * event + hops * HOP + crossings * CHIP_CROSSING) * 1e-9}
