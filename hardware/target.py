"""Targets: the chips a network can be mapped to."""

from importlib import import_module
from inspect import signature
from typing import Any

from spikesim.errors import unknown_name
from spikesim.network import Network

TARGETS: dict[str, str] = {
    "truenorth": "spikesim.hardware.truenorth.mapping",
    "loihi1": "spikesim.hardware.loihi.mapping",
    "loihi2": "spikesim.hardware.loihi.mapping",
}  # name of the chip: the module whose `map_network` maps to it


def map_to(network: Network, chip: str, **options: Any) -> Any:
    """Map a network onto a chip and return its image, which knows how to run and carries a report.

    chip: one of `TARGETS`; options: those of its ``map_network``. What the chip cannot do is an error that names the object
    and the limit.
    """
    if chip not in TARGETS:
        raise unknown_name("chip", chip, TARGETS, where="map_to")
    map_network = import_module(TARGETS[chip]).map_network
    known = [name for name, given in signature(map_network).parameters.items() if given.kind == given.KEYWORD_ONLY and name != "chip"]
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known, where=f"map_to {chip!r}")
    return map_network(network, chip=chip, **options)
