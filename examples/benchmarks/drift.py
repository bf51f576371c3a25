"""Whether a long run stays what it was: rates of the microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, over time.

    python examples/benchmarks/drift.py [--time 100000] [--scale 1.0] [--threads 2]

The model time is divided into ten windows. Numbers of spikes in windows are independent but for slow fluctuations of the network, so
that windows should differ from the mean by a few standard deviations of the windows at most, early ones no more than late ones.
"""

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import spikesim as sim
from spikesim.benchmarks import BENCHMARKS
from spikesim.models.networks.microcircuit import POPULATIONS, microcircuit

WINDOWS = 10


def main(time: float = 100_000.0, scale: float = 1.0, threads: int = 2, precision: str = "float32") -> None:
    benchmark, network = BENCHMARKS["microcircuit"], microcircuit(scale=scale, record=False)
    for population in network.populations.values():
        network.record(population, "rate", every=time / WINDOWS)
    simulation = sim.Simulation(network, dt=benchmark.dt, seed=1, threads=threads, precision=precision)
    simulation.run(benchmark.warm_up)
    recording = simulation.run(time)
    table = Table(title=f"Rates (Hz) in windows of {time / WINDOWS * 1e-3:g} s, scale {scale:g}, {precision}")
    for column in ("", *(str(window + 1) for window in range(WINDOWS)), "trend per window"):
        table.add_column(column, justify="right" if column else "left")
    for name in POPULATIONS:
        values = recording.rates[name].values
        slope, error = trend(values)
        table.add_row(name, *(f"{value:.3f}" for value in values), f"{slope:+.4f} ± {error:.4f}")
    Console(width=140).print(table)


def trend(values: np.ndarray) -> tuple[float, float]:
    """The slope of a straight line through the values, and its standard error."""
    line, covariance = np.polyfit(np.arange(len(values)), values, 1, cov=True)
    return float(line[0]), float(np.sqrt(covariance[0, 0]))


if __name__ == "__main__":
    typer.run(main)
