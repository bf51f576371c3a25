"""Assembly: a plan of cores, placed on the mesh and written into the arrays of a chip image."""

from typing import Any

import numpy as np

from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.truenorth.axon_types import is_direct
from spikesim.hardware.truenorth.cells import PARAMETERS
from spikesim.hardware.truenorth.fanout import OUT, Plan
from spikesim.hardware.truenorth.image import ARRAYS, ChipImage, Inputs
from spikesim.hardware.truenorth.limits import MOST_CHIPS, REACH
from spikesim.hardware.truenorth.partition import Wiring
from spikesim.hardware.truenorth.placement import hops, place
from spikesim.hardware.truenorth.report import MappingReport
from spikesim.hardware.unroll import refuse_sizes
from spikesim.network import Network
from spikesim.neurons.model import Neuron
from spikesim.neurons.truenorth import LARGEST_THRESHOLD, Rules
from spikesim.random import SOURCE, stream
from spikesim.stimulus import SpikeTrains

Goals = dict[tuple[int, int], tuple[int, int, int]]  # of core and neuron: core, axon, delay


def assemble(network: Network, wiring: Wiring, plan: Plan, parameters: np.ndarray, starts: dict[str, int], recorded: np.ndarray, *,
             chips: tuple[int, int], rules: Rules, conditions: tuple[str, ...]) -> ChipImage:  # fmt: skip
    """The image of ``plan``; parameters: int64 (7, neurons), see `PARAMETERS`."""
    if not isinstance(chips, tuple) or len(chips) != 2 or not all(isinstance(n, int) and 1 <= n <= MOST_CHIPS for n in chips):
        raise DescriptionError(f"map_to: chips must be two numbers from 1 to {MOST_CHIPS}, got {chips!r}")
    cores = len(plan.cores) + len(plan.splitters)
    arrays = {name: np.zeros((cores, *shape), dtype) for name, (dtype, shape) in ARRAYS.items()}
    arrays["threshold"][:] = LARGEST_THRESHOLD  # of neurons that are not in use
    goals, outputs = _write_cores(plan, parameters, arrays)
    goals |= _write_splitters(plan, arrays)
    traffic = np.zeros((cores, cores + 1), np.int64)
    for (core, _), (target, _, _) in goals.items():
        traffic[core, target if target != OUT else cores] += 1
    positions = place(traffic, chips)
    arrays["positions"][:] = positions
    _write_destinations(arrays, goals, positions)
    report = _report(network, wiring, plan, arrays, traffic, positions, goals, recorded, conditions)
    return ChipImage(arrays, _inputs(network, plan, starts, len(recorded)), _outputs(network, outputs, starts), chips, rules, report)


def _write_cores(plan: Plan, parameters: np.ndarray, arrays: dict[str, np.ndarray]) -> tuple[Goals, list[tuple[int, int, int]]]:
    """Fill in neurons, copies and crossbars; returns destinations, and the outputs as (neuron, core, place)."""
    goals: Goals = {}
    outputs = []
    for at, core in enumerate(plan.cores):
        arrays["axon_types"][at, : len(core.axons)] = [kind for _, kind in core.axons]
        bits, used = np.zeros((256, 256), np.uint8), 0
        for (axons, _), n, weights in zip(core.bits, core.neurons, core.weights, strict=True):
            for goal in plan.goals[n] or [None]:
                for name, value in zip(PARAMETERS, parameters[:, n], strict=True):
                    arrays[name][at, used] = value
                arrays["weights"][at, :, used] = weights
                bits[axons, used] = 1
                if goal is not None:
                    goals[at, used] = goal
                    if goal[0] == OUT:
                        outputs.append((n, at, used))
                used += 1
        arrays["crossbar"][at] = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return goals, outputs


def _write_splitters(plan: Plan, arrays: dict[str, np.ndarray]) -> Goals:
    """Fill in the splitter cores: axon k leads to the relays of its destinations."""
    goals: Goals = {}
    for at, relays in enumerate(plan.splitters, start=len(plan.cores)):
        bits, used = np.zeros((256, 256), np.uint8), 0
        for axon, targets in enumerate(relays.axons):
            bits[axon, used : used + len(targets)] = 1
            goals |= {(at, used + k): target for k, target in enumerate(targets)}
            used += len(targets)
        arrays["threshold"][at, :used] = 1
        arrays["weights"][at, 0, :used] = 1
        arrays["crossbar"][at] = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return goals


def _write_destinations(arrays: dict[str, np.ndarray], goals: Goals, positions: np.ndarray) -> None:
    for (core, neuron), (target, axon, delay) in goals.items():
        x, y = positions[core].tolist()
        dx, dy = (-(x + 1), 0) if x <= y else (0, -(y + 1))  # off the nearest border, in the west or north
        if target != OUT:
            dx, dy = (positions[target] - positions[core]).tolist()
        if max(abs(dx), abs(dy)) > REACH:
            raise UnsupportedError(
                f"map_to: a core at ({x}, {y}) sends {dx}, {dy} cores away, beyond the reach of {REACH}; use fewer chips"
            )
        arrays["destinations"][core, neuron] = dx, dy, axon, delay


def _inputs(network: Network, plan: Plan, starts: dict[str, int], neurons: int) -> dict[str, Inputs]:
    lines = np.array(plan.lines, np.int64).reshape(-1, 4)
    made = {}
    for index, (name, population) in enumerate(network.populations.items()):
        if isinstance(population.model, Neuron):
            continue
        first, size, model = starts[name] - neurons, len(population), population.model
        own = lines[(lines[:, 0] >= first) & (lines[:, 0] < first + size)] - np.array([first, 0, 0, 0])
        if isinstance(model, SpikeTrains):
            refuse_sizes(model, f"population {name!r}")
            ticks = np.rint(model.times).astype(np.int64)
            if not np.array_equal(ticks, model.times):
                raise UnsupportedError(
                    f"population {name!r}: the chip's ticks are 1 ms, got a spike at {model.times[ticks != model.times][0]:g} ms"
                )
            made[name] = Inputs(size, own, np.stack([ticks - 1, model.ids], axis=1))
        else:
            made[name] = Inputs(size, own, limits=_limits(name, model, size), stream=int(stream(SOURCE, index)))
    return made


def _limits(name: str, model: Any, size: int) -> np.ndarray:
    """Below which word a Poisson source fires in a tick of 1 ms, as on the engines."""
    rate = model.rate
    if not isinstance(rate, float | np.ndarray):
        raise UnsupportedError(f"population {name!r}: its rate is drawn at random; draw it first and give an array")
    if np.max(rate) > 1000.0:
        raise UnsupportedError(f"population {name!r}: {np.max(rate):g} Hz is more than one spike in each tick of 1 ms")
    return np.rint(np.broadcast_to(np.reshape(rate, -1), (size,)) * 1e-3 * 2.0**32).astype(np.uint64)


def _outputs(network: Network, outputs: list[tuple[int, int, int]], starts: dict[str, int]) -> dict[str, np.ndarray]:
    rows = np.array(sorted(outputs), np.int64).reshape(-1, 3)
    made = {}
    for name in dict.fromkeys(probe.view.population for probe in network.probes):
        if isinstance(network.populations[name].model, Neuron):
            first = starts[name]
            made[name] = rows[(rows[:, 0] >= first) & (rows[:, 0] < first + len(network.populations[name]))] - np.array([first, 0, 0])
    return made


def _report(network, wiring: Wiring, plan: Plan, arrays, traffic, positions, goals: Goals, recorded, conditions) -> MappingReport:
    ways = [int(np.abs(arrays["destinations"][core, neuron, :2]).sum()) for core, neuron in goals]
    several = sum(not is_direct(np.unique(wiring.weights[wiring.starts[n] : wiring.starts[n + 1]])) for n in range(wiring.neurons))
    return MappingReport(
        cores=len(positions), splitter_cores=len(plan.splitters), neurons=wiring.neurons,
        copies=sum(max(len(goals) - 1, 0) for goals in plan.goals),
        relays=sum(len(targets) for relays in plan.splitters for targets in relays.axons),
        inputs=sum(len(p) for p in network.populations.values() if not isinstance(p.model, Neuron)), input_axons=len(plan.lines),
        outputs=int(recorded.sum()), axons=sum(len(core.axons) for core in plan.cores) + sum(len(r.axons) for r in plan.splitters),
        synapses=int(np.bitwise_count(arrays["crossbar"]).sum()), decomposed=several, added_ticks=0, hops=hops(traffic, positions),
        farthest=max(ways, default=0), conditions=conditions,
    )  # fmt: skip
