"""compile_network: check a network against a time step, and lay it out as flat arrays."""

from collections.abc import Callable

import numpy as np

from spikesim.compiler.cells import compile_population
from spikesim.compiler.grid import interval_steps
from spikesim.compiler.quanta import LARGEST, Quantum, choose, rule_weights
from spikesim.compiler.stimuli import compile_stimuli, drive_units
from spikesim.compiler.wiring import (
    Quanta,
    build_blocks,
    build_rows,
    build_tables,
    check_largest_input,
    check_procedural,
    delay_steps,
    largest_input,
)
from spikesim.connectivity.structured import Structured
from spikesim.description import checked_number, limits
from spikesim.errors import DescriptionError, MemoryNeededError
from spikesim.machine import available_bytes, readable
from spikesim.network import COUNTS, RATE, SPIKES, Network
from spikesim.neurons.model import Neuron
from spikesim.program import Cells, Program, Rounding, Sampler, make_layout
from spikesim.random import check_seed
from spikesim.stimulus import PoissonDrive
from spikesim.summary import memory_needed


def compile_network(network: Network, *, dt: float, seed: int = 0, parts: int = 1, procedural: bool = False,
                    weight_bits: int | None = None, tick: Callable[[int], None] = lambda done: None) -> Program:  # fmt: skip
    """Compile ``network`` for steps of ``dt`` ms and so many ``parts`` (threads).

    The spikes do not depend on ``parts``, nor on ``procedural``, by which the synapses of sparse projections are not stored.
    ``weight_bits``: None, 16 or 32 (see `Simulation`). ``tick`` is told now and then how many synapses have been drawn (two
    passes). Raises `DescriptionError` for times off the grid of dt, `MemoryNeededError` for what will not fit and
    `UnsupportedError` for what cannot be procedural and for synapses that learn.
    """
    dt = checked_number(dt, "dt", limits("ms", above=0.0, varies=False))
    check_seed(seed)
    if weight_bits not in (None, *LARGEST):
        raise DescriptionError(f"weight_bits: expected None, {' or '.join(map(str, LARGEST))}, got {weight_bits!r}")
    if not network.populations:
        raise DescriptionError("network: there is no population; add one with net.population(...)")
    network.check_static("the engine")
    if procedural:
        check_procedural(network, dt)
    check_memory(network, dt, procedural=procedural)
    longest = max((int(delay_steps(p, dt)[-1]) for p in network.projections.values() if np.size(p.delay)), default=0)
    quanta = _quanta(network, weight_bits)
    cells = _cells(network, quanta, dt=dt, seed=seed)
    at_once = longest == 0 and all(isinstance(p.rule, Structured) for p in network.projections.values())
    layout = make_layout([c.size for c in cells.values()], [len(c.ports) for c in cells.values()], parts,
                         stages=[c.stage for c in cells.values()] if at_once else None)  # fmt: skip
    tables = () if procedural else build_tables(network, cells, layout, quanta, dt=dt, seed=seed, tick=tick)
    rows = build_rows(network, cells, layout, quanta, dt=dt, seed=seed) if procedural else ()
    blocks = build_blocks(network, cells, quanta, dt=dt)
    bound = largest_input(tables, **blocks, cells=cells)
    check_largest_input(bound, cells)
    return Program(
        dt=dt, seed=seed, cells=tuple(cells.values()), layout=layout, tables=tables, rows=rows, **blocks,
        **compile_stimuli(network, cells, dt=dt, seed=seed), samplers=_samplers(network, cells, dt),
        spike_cells=_probed(network, SPIKES), count_cells=_probed(network, COUNTS),
        accumulator=np.int32 if bound < 2**31 and not rows else np.int64, stages=len(network.stages()), longest_delay=longest,
        rounding=tuple(Rounding(f"{p}.{r}", q.value, q.bits, q.error) for (p, r), q in quanta.items()),
    )  # fmt: skip


def _quanta(network: Network, bits: int | None) -> Quanta:
    quanta: dict[tuple[str, str], Quantum] = {}
    for name, population in network.populations.items():
        for receptor in population.model.receptors if isinstance(population.model, Neuron) else ():
            arriving = [rule_weights(p.rule, p.weight) for p in network.projections.values()
                        if (p.target.population, p.receptor) == (name, receptor)]  # fmt: skip
            quanta[name, receptor] = choose(arriving, bits=bits)
    return quanta


def _cells(network: Network, quanta: Quanta, *, dt: float, seed: int) -> dict[str, Cells]:
    stage_of = {name: number for number, stage in enumerate(network.stages()) for name in stage}
    cells, start = {}, 0
    for index, (name, population) in enumerate(network.populations.items()):
        stimulations = [s for s in network.stimulations if s.target.population == name]
        cells[name] = compile_population(
            population, {"name": name, "index": index, "size": len(population), "start": start, "stage": stage_of[name]}, dt=dt, seed=seed,
            quanta={receptor: quantum for (owner, receptor), quantum in quanta.items() if owner == name},
            drives=drive_units(stimulations, dt=dt),
            injected=any(not isinstance(s.stimulus, PoissonDrive) for s in stimulations),
        )  # fmt: skip
        start += len(population)
    return cells


def _probed(network: Network, variable: str) -> tuple[bool, ...]:
    return tuple(any(p.view.population == name and p.variable == variable for p in network.probes) for name in network.populations)


def _samplers(network: Network, cells: dict[str, Cells], dt: float) -> tuple[Sampler, ...]:
    made = []
    for probe in network.probes:
        interval = interval_steps(probe.every, dt, f"probe on {probe.view}: every")
        if probe.variable not in (SPIKES, COUNTS, RATE):
            owner = cells[probe.view.population]
            made.append(Sampler(owner.index, owner.variables.index(probe.variable), probe.view.numbers, interval))
    return tuple(made)


def check_memory(network: Network, dt: float, *, procedural: bool = False) -> None:
    """Raise `MemoryNeededError` if the network will not fit into memory."""
    needed = memory_needed(network, dt, procedural=procedural)
    total, free = sum(needed.values()), available_bytes()
    if total > free:
        largest = max(needed, key=needed.__getitem__)
        raise MemoryNeededError(f"network: needs about {readable(total)} of memory, {readable(free)} are free; "
                                f"the largest part is that of {largest} with {readable(needed[largest])}; scale it down")  # fmt: skip
