"""What `spikesim run` does: run a saved network, or go on with a saved simulation."""

from pathlib import Path

from spikesim.errors import UnsupportedError
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.storage import kind_of


def run_file(file: Path, *, time: float, dt: float, seed: int, engine: str | None, threads: int | None,
             out: Path | None, state: Path | None) -> None:  # fmt: skip
    """Run ``time`` ms of the network, simulation or chip image in ``file`` and print the rate of each recorded population."""
    kind = kind_of(file)
    if kind == "truenorth_image":
        if engine is not None or state is not None:
            raise UnsupportedError("run: a chip image is run by its emulator, without --engine and --state")
        from spikesim.hardware.map_file import run_image

        recording = run_image(file, time=time, seed=seed, threads=threads)
        print_rates(recording)
        if out is not None:
            recording.save(out)
            print(f"recording: {out}")
        return
    if kind == "simulation":
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
