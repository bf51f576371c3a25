"""Energy and time of what the emulator counted, by published figures, each of which may be replaced."""

from dataclasses import dataclass

import numpy as np

from spikesim.errors import UnsupportedError, unknown_name
from spikesim.hardware.loihi.emulator import Activity
from spikesim.hardware.loihi.image import ChipImage


@dataclass(frozen=True)
class EnergyProfile:
    """Energies in pJ and times in ns of single operations; ``source`` says where they come from.

    synapse: one synaptic operation; active, inactive: update of a compartment with input or a spike, and without; spike: sent
    within the tile, for each message; east_west, north_south: one tile further; learning: one update of a synapse that learns. The
    times of a core's operations add up, cores work side by side, and ``barrier`` ends a step.
    """

    synapse: float
    active: float
    inactive: float
    spike: float
    east_west: float
    north_south: float
    synapse_time: float
    active_time: float
    inactive_time: float
    spike_time: float
    barrier: float
    learning: float
    learning_time: float
    source: str


PROFILES = {
    "davies2018": EnergyProfile(23.6, 81.0, 52.0, 1.7, 3.0, 4.0, 3.5, 8.4, 5.3, 2.1, 465.0, 120.0, 6.1,
                                "Davies et al. (2018), table 2: simulated before silicon, 0.75 V; barrier of 32 tiles"),
    "sanafe": EnergyProfile(35.5, 51.2 + 21.6, 51.2, 69.3 + 111.0, 3.0, 4.2, 3.8, 8.4, 5.3, 2.1, 600.0, 120.0, 6.1,
                            "SANA-FE, arch/loihi.yaml: calibrated on silicon, dense; times of updates and spikes, learning: Davies (2018)"),
}  # fmt: skip


@dataclass(frozen=True)
class Energy:
    """Joules by operation and in all, seconds of all steps, and what was counted."""

    joules: dict[str, float]
    seconds: float
    counts: dict[str, float]
    profile: EnergyProfile

    @property
    def total(self) -> float:
        return sum(self.joules.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value * 1e6:.3g} uJ" for name, value in self.joules.items())
        return f"{self.total * 1e6:.3g} uJ ({parts}) in {self.seconds * 1e3:.3g} ms; {self.profile.source}"


def energy(image: ChipImage, activity: Activity, profile: str | EnergyProfile = "davies2018") -> Energy:
    """What a run would have taken on the chip, without leakage, inputs from outside and the embedded processors.

    profile: a name in `PROFILES`, or figures of your own; for "loihi2" none were published, so it needs its own.
    """
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise unknown_name("profile", profile, PROFILES, where="energy")
        if image.chip != "loihi1":
            raise UnsupportedError(f"energy: no figures were published for {image.chip}; give an EnergyProfile of your own")
        profile = PROFILES[profile]
    synaptic = activity.synaptic_operations(image)
    messages, east_west, north_south = _messages(image, activity)
    inactive = activity.updates - activity.active
    counts = {"synapses": synaptic.sum(), "active updates": activity.active.sum(), "inactive updates": inactive.sum(),
              "messages": messages.sum(), "hops east-west": east_west, "hops north-south": north_south,
              "learning": activity.learned.sum()}  # fmt: skip
    each = (profile.synapse, profile.active, profile.inactive, profile.spike, profile.east_west, profile.north_south,
            profile.learning)  # fmt: skip
    joules = {name: 1e-12 * float(count) * value for (name, count), value in zip(counts.items(), each, strict=True)}
    busy = (synaptic * profile.synapse_time + activity.active * profile.active_time + inactive * profile.inactive_time
            + messages * profile.spike_time + activity.learned * profile.learning_time)  # fmt: skip
    seconds = 1e-9 * (float(busy.max(initial=0.0)) + activity.steps * profile.barrier)
    return Energy(joules, seconds, {name: float(count) for name, count in counts.items()}, profile)


def _messages(image: ChipImage, activity: Activity) -> tuple[np.ndarray, float, float]:
    """Messages that each core sent, and the tiles they went east-west and north-south."""
    source = np.repeat(np.arange(len(image.route_starts) - 1), np.diff(image.route_starts))
    inside = source < image.compartments
    events = activity.axon_events[image.routes[inside]]
    sender = np.searchsorted(image.core_starts, source[inside], side="right") - 1
    way = np.abs(image.position[sender] - image.position[image.axon_core[image.routes[inside]]])
    sent = np.bincount(sender, events, minlength=image.cores)
    return sent, float((events * way[:, 1]).sum()), float((events * way[:, 2]).sum())
