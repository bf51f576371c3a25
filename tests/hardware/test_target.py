"""Targets: what `map_to` asks of every chip."""

import pytest

import spikesim as sim
from spikesim.errors import NameUnknownError
from spikesim.hardware import map_to
from spikesim.hardware.target import TARGETS


@pytest.mark.parametrize("chip", TARGETS)
def test_unknown_options_are_named(chip):
    with pytest.raises(NameUnknownError, match=f"map_to '{chip}': unknown option 'chip_count'; .*known: chips"):
        map_to(sim.Network(), chip, chip_count=2)


def test_unknown_chips_are_named():
    with pytest.raises(NameUnknownError, match=r"unknown chip 'loihi3'; did you mean 'loihi[12]'"):
        map_to(sim.Network(), "loihi3")
