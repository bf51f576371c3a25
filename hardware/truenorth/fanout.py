"""Fan-out: a neuron has one destination, so one that needs several is copied, or drives a splitter.

A copy is a second neuron of the same core with the same column and parameters; it fires at the same ticks. A splitter is a core
whose relays (weight 1, threshold 1) repeat a spike one tick later, each to a destination of its own; the tick is taken from the
delay of the connection, which must be 2 or more.
"""

from dataclasses import dataclass, field

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.hardware.truenorth.limits import AXONS, LEAST_DELAY, MOST_DELAY, NEURONS
from spikesim.hardware.truenorth.partition import Core, Wiring, bases, partition

OUT = -1  # in place of a core: off the border
Goal = tuple[int, int, int]  # core, axon, delay


@dataclass
class Relays:
    """A splitter core: each axon's destinations."""

    axons: list[list[Goal]] = field(default_factory=list)
    room: int = NEURONS


@dataclass
class Plan:
    """Cores with neurons, then cores with splitters; for each neuron its destinations, one for each copy of it."""

    cores: list[Core]
    splitters: list[Relays]
    goals: list[list[Goal]]
    lines: list[tuple[int, int, int, int]]  # input lines: source, core, axon, delay


def plan(wiring: Wiring, recorded: np.ndarray, fixed: np.ndarray, *, fan_out: str) -> Plan:
    """Partition until every neuron has room for the copies that the partition asks for.

    recorded: bool (neurons,), which also have an output. fixed: bool (neurons,), which cannot be copied (they draw random numbers).
    """
    copies, chosen = np.ones(wiring.neurons, np.int64), bases(wiring)
    for _ in range(50):
        cores = partition(wiring, copies, chosen)
        made = _destinations(wiring, cores, recorded, fixed, fan_out)
        needed = np.array([max(1, len(goals)) for goals in made.goals], np.int64)
        if all(sum(int(needed[n]) for n in core.neurons) <= NEURONS for core in cores):
            return made
        copies = np.maximum(copies, needed)
    raise UnsupportedError("map_to: no partition found in which all neurons have room for their copies; use fan_out='splitters'")


def _destinations(wiring: Wiring, cores: list[Core], recorded: np.ndarray, fixed: np.ndarray, fan_out: str) -> Plan:
    goals: list[list[Goal]] = [[] for _ in range(wiring.neurons)]
    made = Plan(cores, [], goals, [])
    for at, core in enumerate(cores):
        for axon, (key, _) in enumerate(core.axons):
            source, delay = int(wiring.sources[key]), int(wiring.delays[key])
            if source >= wiring.neurons:
                made.lines.append((source - wiring.neurons, at, axon, delay))
            elif LEAST_DELAY <= delay <= MOST_DELAY:
                goals[source].append((at, axon, delay))
            else:
                name = wiring.names[int(wiring.groups[source])]
                raise UnsupportedError(f"{name}: a projection from it has a delay of {delay} ticks, the chip has {LEAST_DELAY} to "
                                       f"{MOST_DELAY}; for longer ones use corelets.delay_line")  # fmt: skip
    for n in range(wiring.neurons):
        wanted = len(goals[n]) + int(recorded[n])
        if wanted > 1 and (fan_out == "splitters" or wanted > NEURONS or fixed[n]):
            goals[n] = _split(made, goals[n], n, wiring, bool(fixed[n]), len(cores))
        if recorded[n]:
            goals[n].append((OUT, 0, LEAST_DELAY))
        if fixed[n] and len(goals[n]) > 1:
            name = wiring.names[int(wiring.groups[n])]
            raise UnsupportedError(f"{name}: neuron {n} is stochastic and has {len(goals[n])} destinations (recording it is one); a copy "
                                   "would draw other random numbers: send it to one relay neuron first")  # fmt: skip
    return made


def _split(made: Plan, goals: list[Goal], n: int, wiring: Wiring, fixed: bool, first: int) -> list[Goal]:
    """Send what has time for it through splitters; returns the destinations that the neuron itself keeps."""
    kept = [goal for goal in goals if goal[2] == LEAST_DELAY]
    late = [(core, axon, delay - 1) for core, axon, delay in goals if delay > LEAST_DELAY]
    if len(kept) > NEURONS - 2 or (fixed and kept and len(goals) > 1):
        name = wiring.names[int(wiring.groups[n])]
        raise UnsupportedError(f"{name}: neuron {n} sends to {len(kept)} axons with a delay of 1 tick, more than it can have copies; "
                               "with delays of 2 or more they go through splitters")  # fmt: skip
    if len(late) == 1:
        return [*kept, (late[0][0], late[0][1], late[0][2] + 1)]
    for start in range(0, len(late), NEURONS):
        part = late[start : start + NEURONS]
        if not made.splitters or made.splitters[-1].room < len(part) or len(made.splitters[-1].axons) == AXONS:
            made.splitters.append(Relays())
        relays = made.splitters[-1]
        kept.append((first + len(made.splitters) - 1, len(relays.axons), LEAST_DELAY))
        relays.axons.append(part)
        relays.room -= len(part)
    return kept
