"""A network in words: what it holds, how large it is, what it will take."""

from __future__ import annotations

import math

import numpy as np

from spikesim.connectivity.rules import Matrix
from spikesim.connectivity.structured import Structured
from spikesim.description import Distribution
from spikesim.distributions import support
from spikesim.machine import readable
from spikesim.network import Network
from spikesim.neurons.model import Neuron
from spikesim.population import Population, overlap

TARGET_BYTES = WEIGHT_BYTES = 2.0  # the weight 4 where its dynamic range needs it
NEURON_BYTES = 64.0
SPIKE_BYTES, INPUT_BYTES, ROW_BYTES = 4.0, 8.0, 24.0


def expected_synapses(network: Network) -> dict[str, float]:
    """For each projection the expected number of synapses."""
    return {name: p.rule.expected_count(len(p.source), len(p.target), overlap(p.source, p.target))
            for name, p in network.projections.items()}  # fmt: skip


def stored_weights(network: Network) -> dict[str, float]:
    """For each projection the number of weights that are stored; structured rules share or pack them."""
    expected = expected_synapses(network)
    return {name: float(p.rule.stored_count()) if isinstance(p.rule, Structured) else expected[name]
            for name, p in network.projections.items()}  # fmt: skip


def memory_needed(network: Network, dt: float | None = None, *, procedural: bool = False) -> dict[str, float]:
    """An estimate in bytes of what the compiled network takes, by projection, and "neurons" for the rest.

    Every delay that may occur costs an entry for each source, and spikes are kept for the longest one; without ``dt``
    delays count as one step. procedural: synapses are not stored; then input is kept for the longest delay, too.
    """
    variables = {name: len(p.model.variables()) if isinstance(p.model, Neuron) else 0 for name, p in network.populations.items()}
    needed = {"neurons": sum(len(p) * (NEURON_BYTES + 8.0 * variables[name]) for name, p in network.populations.items())}
    longest = {name: support(p.delay)[1] / dt if dt else 1.0 for name, p in network.projections.items()}
    slowest = max(longest, key=longest.__getitem__, default="")
    graded = any(p.model.GRADED for p in network.populations.values())
    needed[f"the longest delay, of {slowest!r}"] = (longest.get(slowest, 0.0) + 1.0) * sum(
        len(p) * (SPIKE_BYTES * (1.0 + graded) + (INPUT_BYTES * _receptors(p) if procedural else 0.0)) for p in network.populations.values()
    )
    for name, weights in stored_weights(network).items():
        p = network.projections[name]
        sources = len(network.populations[p.source.population])
        if procedural and not isinstance(p.rule, Structured):
            needed[name] = ROW_BYTES * sources
            continue
        width = WEIGHT_BYTES if isinstance(p.rule, Structured) else TARGET_BYTES
        width += 0.0 if isinstance(p.weight, float) and not isinstance(p.rule, Matrix) else WEIGHT_BYTES
        needed[name] = width * weights + 4.0 * sources * _delays(p.delay, dt)
    return needed


def _receptors(population: Population) -> int:
    return len(population.model.receptors) if isinstance(population.model, Neuron) else 0


def _delays(delay: float | np.ndarray | Distribution, dt: float | None) -> float:
    if dt is None:
        return 1.0
    if isinstance(delay, Distribution):
        low, high = delay.support()
        return math.ceil((high - low) / dt) + 1.0
    return float(np.unique(delay).size)


def summary(network: Network) -> str:
    """A table of populations and projections with sizes, expected synapses and an estimate of the memory."""
    expected = expected_synapses(network)
    neurons = sum(len(p) for p in network.populations.values())
    lines = [f"Network: {neurons:,} neurons in {len(network.populations)} populations, "
             f"{sum(expected.values()):,.0f} synapses in {len(network.projections)} projections, "
             f"about {readable(sum(memory_needed(network).values()))}"]  # fmt: skip
    rows = [(p.name, "x".join(map(str, p.shape)), repr(p.model)) for p in network.populations.values()]
    lines += _table("populations", rows)
    rows = [(p.name, f"{expected[p.name]:,.0f}", f"{p.receptor}  {p.rule!r}  weight={_brief(p.weight)}  delay={_brief(p.delay)}"
             + (f"  {p.plasticity!r}" if p.plasticity is not None else "")) for p in network.projections.values()]  # fmt: skip
    lines += _table("projections", rows)
    lines += _table("stimuli", [(str(s.target), "", repr(s.stimulus)) for s in network.stimulations])
    lines += _table("recorded", [(str(p.view), p.variable, f"every {p.every} ms" if p.every else "") for p in network.probes])
    if any(isinstance(p.delay, Distribution) for p in network.projections.values()):
        lines.append("  Delays drawn from distributions are rounded to the time step.")
    return "\n".join(lines)


def _table(title: str, rows: list[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"  {title}"] + [f"    {a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in rows]


def _brief(value: float | np.ndarray | Distribution) -> str:
    return f"<array of {value.size}>" if isinstance(value, np.ndarray) else repr(value)
