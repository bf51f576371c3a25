"""Quantising: a float network as an integer network for Loihi, with a report of what that costs.

For each population one number is chosen, the integer threshold vth; it scales potentials, weights and drift of each neuron. Of the
candidates that one is taken whose error is least: relative root mean square errors of weights and of the drift, and what the
cutting of each step's remainder loses over a membrane's memory, in thresholds.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikesim.connectivity.rules import OneToOne
from spikesim.description import checked_number, limits
from spikesim.errors import UnsupportedError
from spikesim.hardware.fixed_weights import (
    RealWeights,
    bits_of_projection,
    connect,
    fixed,
    projection_error,
    real_weights,
    squared_error,
)  # fmt: skip
from spikesim.hardware.membranes import Membrane, membrane_of
from spikesim.hardware.quantization import PopulationError, QuantizationReport, Quantized, SpikeEffect, mantissa, representable
from spikesim.hardware.unroll import whole_steps
from spikesim.network import SPIKES, Network
from spikesim.neurons import LoihiLIF, ShiftedSum
from spikesim.neurons.loihi import HALF, SHIFT, UNITY
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, Poisson, PoissonDrive, Source, SpikeTrains

CANDIDATES = np.unique(np.rint(np.geomspace(8, 131071, 200)).astype(np.int64))
ENOUGH_HEADROOM = 0.25  # of a neuron's synapses active in each step
LARGEST_DRIVEN = 4095 * 2**7 // SHIFT  # a threshold that the largest bias reaches in one step, for populations driven by currents alone
SILENT_STEPS = 32  # how many steps of all its inputs a neuron that never fires can add up
Weights = dict[str, tuple[RealWeights, int]]  # of each projection into a population, in mV a spike, and their bits


def quantize(network: Network, *, dt: float = 1.0, seed: int = 0, bits: int | Mapping[str, int] = 8, duration: float | None = None,
             overflow: str = "lava") -> Quantized:  # fmt: skip
    """The integer network of a network of `LIF` and `IF` neurons.

    dt: the step in ms; the integer network has steps of 1. bits: of the weights, 1 to 8, for all or by projection. duration: ms to run
    both networks for, for the measured effect on spikes. overflow: of the `LoihiLIF` neurons. Raises `UnsupportedError` for
    what the chip cannot do and no construction gives.
    """
    dt = checked_number(dt, "quantize: dt", limits("ms", above=0.0, varies=False))
    network.check_static("quantize, whose networks have other weights,")
    neurons = {name: p for name, p in network.populations.items() if not isinstance(p.model, Source)}
    membranes = {name: membrane_of(network, p, dt=dt, seed=seed) for name, p in neurons.items()}
    weights: dict[str, Weights] = {name: {} for name in neurons}
    for name, p in network.projections.items():
        membrane = membranes[p.target.population]
        real = real_weights(network, p, _alike(membrane), dt=dt, seed=seed)
        real = replace(real, strongest=network.populations[p.source.population].model.largest_spike())
        weights[p.target.population][name] = real, bits_of_projection(bits, name)
    for s in network.stimulations:
        if isinstance(s.stimulus, PoissonDrive):
            ids = np.asarray(s.target.ids)
            drive = RealWeights(OneToOne(), np.full(len(ids), s.stimulus.weight), ids, np.ones(1, np.int64))
            weights[s.target.population][_drive_name(s.target, weights[s.target.population])] = drive, 8
    found = {name: _search(membranes[name], weights[name]) for name in neurons}
    scales = {name: _scale(membranes[name], found[name][0]) for name in neurons}
    made, notes = _network(network, membranes, weights, {name: vth for name, (vth, _) in found.items()}, dt, overflow)
    report = QuantizationReport(
        dt, sum(error for _, error in found.values()),
        {name: _errors(membranes[name], found[name][0], weights[name]) for name in neurons},
        {key: projection_error(_scaled(membranes[name], found[name][0], real), own) for name in neurons
         for key, (real, own) in weights[name].items()},
        tuple(notes), {} if duration is None else _effect(network, made, duration, dt, seed),
    )  # fmt: skip
    return Quantized(made, report, scales, {name: scales[name] * membranes[name].drive for name in neurons})


def _alike(membrane: Membrane) -> np.ndarray:
    """What weights onto each neuron are multiplied with, but for one number."""
    return membrane.gain / np.where(np.isinf(membrane.threshold), 1.0, membrane.threshold)


def _drive_name(target: object, known: Weights) -> str:
    return f"drive of {target} #{len(known)}".replace("/", " ")


def _scale(membrane: Membrane, vth: int) -> np.ndarray:
    """Integer potential per mV, float64 (size,); where there is no threshold vth stands for 1 mV."""
    return SHIFT * vth / np.where(np.isinf(membrane.threshold), 1.0, membrane.threshold)


def _scaled(membrane: Membrane, vth: float, real: RealWeights) -> np.ndarray:
    """The weights in the units that the chip adds up."""
    return real.values * (membrane.gain * _scale(membrane, vth))[real.targets] / SHIFT  # type: ignore[arg-type]


def _search(membrane: Membrane, weights: Weights) -> tuple[float, float]:
    """The threshold of least error, and that error."""
    if (membrane.threshold <= 0).any():
        raise UnsupportedError("quantize: a threshold must lie above the resting potential")
    if np.isinf(membrane.threshold).any():
        sums = sum((np.bincount(r.targets, np.abs(r.strongest * r.values * membrane.gain[r.targets]), minlength=len(membrane.v))
                    for r, _ in weights.values()), np.abs(membrane.drift))  # fmt: skip
        vth = HALF / 2 / SHIFT / SILENT_STEPS / max(float(sums.max()), 1e-12)
        return vth, _error(membrane, vth, weights)
    candidates = [(_error(membrane, int(vth), weights), -int(vth)) for vth in CANDIDATES if weights or vth <= LARGEST_DRIVEN]
    roomy = [each for each in candidates if _headroom(membrane, -each[1], weights) >= ENOUGH_HEADROOM]
    error, vth = min(roomy or candidates[:1])
    return -vth, error


def _error(membrane: Membrane, vth: float, weights: Weights) -> float:
    squares = [squared_error(_scaled(membrane, vth, real), own) for real, own in weights.values()]
    drift = membrane.drift * _scale(membrane, vth)
    off = np.sqrt(((representable(drift) - drift) ** 2).sum() / max((drift**2).sum(), 1e-300))
    leak = 1.0 - membrane.keep_v
    lost = float(np.max(np.where(leak > 0, 0.5 / np.maximum(leak, 1.0 / UNITY), 0.0), initial=0.0)) / (SHIFT * vth)
    return float(np.sqrt(sum(squares))) + float(off) + lost


def _headroom(membrane: Membrane, vth: float, weights: Weights) -> float:
    """The share of a neuron's synapses that may be active in each step before u can wrap."""
    total = np.zeros(len(membrane.v))
    for real, _ in weights.values():
        total += np.bincount(real.targets, real.strongest * np.abs(_scaled(membrane, vth, real)), minlength=len(total))
    bound = SHIFT * total / np.maximum(1.0 - membrane.keep_u, 1.0 / UNITY)
    return float(HALF / max(bound.max(initial=0.0), 1e-12))


def _errors(membrane: Membrane, vth: float, weights: Weights) -> PopulationError:
    du, dv = _decays(membrane)
    drift = membrane.drift * _scale(membrane, vth)
    bias = np.sqrt(((representable(drift) - drift) ** 2).mean()) / max(float(np.abs(drift).max(initial=0.0)), 1e-300)
    off_v = np.abs(dv / UNITY - (1 - membrane.keep_v)) / np.maximum(1 - membrane.keep_v, 1e-12)
    off_u = np.abs((du + 1) / UNITY - (1 - membrane.keep_u)) / np.maximum(1 - membrane.keep_u, 1e-12)
    scale = _scale(membrane, vth)
    return PopulationError(float(off_v.max()), float(off_u.max()), float(bias), max(1, round(vth)),
                           (float(scale.min()), float(scale.max())), _headroom(membrane, vth, weights))  # fmt: skip


def _decays(membrane: Membrane) -> tuple[np.ndarray, np.ndarray]:
    du = np.clip(np.rint(UNITY * (1 - membrane.keep_u)) - 1, 0, UNITY - 1)
    return du, np.clip(np.rint(UNITY * (1 - membrane.keep_v)), 0, UNITY - 1)


def _network(network: Network, membranes: dict[str, Membrane], weights: dict[str, Weights], vths: dict[str, float], dt: float,
             overflow: str) -> tuple[Network, list[str]]:  # fmt: skip
    """The integer network, and the constructions in it."""
    made, notes = Network(), []
    wholes = {key: fixed(_scaled(membranes[name], vths[name], real), own) for name in weights for key, (real, own) in weights[name].items()}
    for name, population in network.populations.items():
        if name not in membranes:
            made.population(name, population.shape, _source(population.model, dt))
            continue
        membrane = membranes[name]
        receptors = {f"r{at}": ShiftedSum(exponent=wholes[key][1]) for at, key in enumerate(weights[name])} or {"r0": ShiftedSum()}
        made.population(name, population.shape, _neuron(membrane, vths[name], receptors, overflow), initial=_initial(membrane, vths[name]))
        if membrane.soft and not np.isinf(membrane.threshold).any():
            notes.append(f"{name}: soft reset, two compartments a neuron (Rueckauer et al. 2021)")
        if np.isinf(membrane.threshold).any():
            notes.append(f"{name}: never fires: scaled so that {SILENT_STEPS} steps of all inputs stay below half its range")
    for name, own in weights.items():
        for at, (key, (real, _)) in enumerate(own.items()):
            if key in network.projections:
                notes += filter(None, [connect(made, network.projections[key], real, wholes[key][0], f"r{at}", membranes[name].late)])
    notes += _drives(made, network, weights, wholes, membranes, dt)
    for s in network.stimulations:
        if isinstance(s.stimulus, DirectCurrent) and not np.any(s.stimulus.amplitude):  # to be given in trials
            made.stimulate(made.populations[s.target.population], s.stimulus)
    for probe in network.probes:
        every = None if probe.every is None else float(max(1, round(probe.every / dt)))
        known = probe.variable in ("spikes", "rate", "counts", "v")
        made.record(made.populations[probe.view.population][probe.view.start : probe.view.stop : probe.view.step],
                    probe.variable if known else "u", every=every)  # fmt: skip
    return made, notes


def _neuron(membrane: Membrane, vth: float, receptors: dict[str, ShiftedSum], overflow: str) -> LoihiLIF:
    du, dv = _decays(membrane)
    mant, exponent = mantissa(membrane.drift * _scale(membrane, vth))
    never = np.isinf(membrane.threshold).any()
    values = {"du": du, "dv": dv, "bias_mant": mant, "bias_exp": exponent, "refractory": membrane.refractory}
    same = {name: float(array[0]) if np.all(array == array[0]) else array.astype(np.float64) for name, array in values.items()}
    reset = "subtract" if membrane.soft and not never else "zero"
    return LoihiLIF(**same, vth=131071.0 if never else float(vth), reset=reset, overflow=overflow, receptors=receptors)


def _initial(membrane: Membrane, vth: float) -> dict[str, np.ndarray]:
    scale = _scale(membrane, vth)
    v = np.clip(np.rint(membrane.v * scale), -HALF + 1, HALF - 1)
    u = np.rint(membrane.current * scale / np.maximum(membrane.keep_u, 1.0 / UNITY))
    return {"v": v} | ({"u": np.clip(u, -HALF + 1, HALF - 1)} if u.any() else {})


def _source(model: object, dt: float) -> Source:
    """The same source in steps of 1 ms."""
    if isinstance(model, SpikeTrains):
        return SpikeTrains(whole_steps(model.times, dt, "SpikeTrains.times").astype(float), model.ids, model.sizes)
    assert isinstance(model, Poisson)
    return Poisson(model.rate * dt)


def _drives(made: Network, network: Network, weights: dict[str, Weights], wholes: dict, membranes: dict[str, Membrane],
            dt: float) -> list[str]:  # fmt: skip
    """Poisson drives as populations of Poisson inputs, one for each neuron."""
    notes = []
    for s in network.stimulations:
        stimulus = s.stimulus
        if not isinstance(stimulus, PoissonDrive):
            continue
        name = s.target.population
        at, key = next((at, key) for at, key in enumerate(weights[name]) if key not in network.projections and key in wholes)
        whole, _ = wholes.pop(key)
        source = made.population(key.replace("[", " ").replace("]", " "), len(s.target), Poisson(stimulus.rate * dt))
        target = made.populations[name][s.target.start : s.target.stop : s.target.step]
        made.project(
            source, target, OneToOne(), weight=whole.astype(float), delay=float(1 + membranes[name].late), receptor=f"r{at}", name=key
        )
        notes.append(f"{key}: a Poisson input for each neuron, one spike a step at most, from outside the chip")
    return notes


def _effect(network: Network, made: Network, duration: float, dt: float, seed: int) -> dict[str, SpikeEffect]:
    """Run both networks and compare the spikes of each population."""
    found = []
    for net, step in ((network, dt), (made, 1.0)):
        net = net.copy()
        net.probes = []
        for name in network.populations:
            net.record(net.populations[name], SPIKES)
        recording = Simulation(net, dt=step, seed=seed, progress=False).run(round(duration / dt) * step, progress=False)
        found.append({name: (np.rint(s.times / step).astype(np.int64), s.ids) for name, s in recording.spikes.items()})
    effects = {}
    for name, population in network.populations.items():
        if not isinstance(population.model, Source):
            keys = [when * len(population) + ids for when, ids in (each[name] for each in found)]
            counts = [np.bincount(each[name][1], minlength=len(population)) for each in found]
            constant = any(np.all(count == count[0]) for count in counts)
            correlation = float(np.array_equal(*counts)) if constant else float(np.corrcoef(*counts)[0, 1])
            same = len(np.intersect1d(*keys)) / max(1, len(np.union1d(*keys)))
            effects[name] = SpikeEffect(len(keys[0]), len(keys[1]), same, correlation)
    return effects
