"""Brian2: the same spikes where both solve exactly, the same potential and statistics where Brian2 takes steps.

Brian2 stamps a spike with the start of the step in which it was found, spikesim with its end; a delay counts from there in both.
Brian2's refractory time also counts from that start, so V is held for as long as in spikesim if it is one step longer.
"""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

import spikesim as sim

pytestmark = pytest.mark.skipif(find_spec("brian2") is None, reason="Brian2 is not installed")


@pytest.fixture(scope="module")
def brian2():
    """Brian2 without compilers, its dependencies' deprecation warnings unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2

    brian2.prefs.codegen.target = "numpy"
    return brian2


@pytest.fixture
def run_brian2(brian2):
    """Run Brian2 objects: ``run_brian2(objects, duration, dt, names)``, where ``names`` are what the equations mention."""

    def run(objects, duration, dt, names):
        network = brian2.Network(objects)
        for each in objects:
            each.clock.dt = dt * brian2.ms
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network.run(duration * brian2.ms, namespace=names)

    return run
