"""What `spikesim run` does: run a saved network, or go on with a saved simulation."""

from pathlib import Path

from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.storage import kind_of


def run_file(file: Path, *, time: float, dt: float, seed: int, engine: str | None, threads: int | None,
             out: Path | None, state: Path | None) -> None:  # fmt: skip
    """Run ``time`` ms of the network or simulation in ``file`` and print the rate of each recorded population."""
    if kind_of(file) == "simulation":
        simulation = Simulation.load(file, engine=engine, threads=threads)
    else:
        simulation = Simulation(Network.load(file), dt=dt, seed=seed, engine=engine or "cpu", threads=threads)
    print(simulation.network)
    recording = simulation.run(time, to=out)
    print_rates(recording)
    if out is not None:
        print(f"recording: {out}")
    if state is not None:
        simulation.save(state)
        print(f"simulation: {state}")


def print_rates(recording: Recording) -> None:
    """A line for each population whose spikes were recorded in some form."""
    names = dict.fromkeys([*recording.spikes, *recording.counts, *recording.rates])
    if not names:
        print("no spikes were recorded; add net.record(population) before saving the network")
    for name in names:
        irregular = f", CV of intervals {recording.cv_isi(name):.2f}" if name in recording.spikes else ""
        print(f"  {name:<12} {recording.rate(name):8.2f} Hz{irregular}")
