"""Engines: each executes a `Program`, all give the same spikes.

An engine has ``precisions`` and ``most_parts`` that it supports, ``procedural`` (whether it can draw rows of synapses that
are not stored), ``largest_chunk`` steps it can run at once, and
``advance(steps) -> Segment``, ``snapshot() -> State``, ``restore(State)``; ``hold(index, values)``, ``set_limits(index, limits)`` and
``reseed(seed)`` replace inputs, ``read(cells, variable)`` gives a state variable of a population.
"""

from importlib import import_module

# name: (module, class); a module is imported when its engine is asked for
ENGINES = {"cpu": ("spikesim.engine.cpu", "Cpu"), "reference": ("spikesim.engine.reference", "Reference")}


def engine_class(name: str):
    """The class of the engine called ``name``."""
    module, attribute = ENGINES[name]
    return getattr(import_module(module), attribute)
