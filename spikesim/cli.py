"""The command line. Heavy packages are loaded by the command that needs them, so that --help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.errors import DataMissingError, SpikesimError, UnsupportedError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="spikesim: one description of a spiking network, every target, the same spikes.")  # fmt: skip


def _place(path: Path | None) -> Path | None:
    """Complain before the work, not after it, of a file that cannot be written."""
    if path is not None and path.is_dir():
        raise DataMissingError(f"{path}: expected the name of a file, found a folder")
    if path is not None and not path.absolute().parent.is_dir():
        raise DataMissingError(f"{path}: there is no folder {path.absolute().parent}; make it first")
    return path


def _written(words: str) -> Any:
    """An option that names a file to be written."""
    return typer.Option(help=words, callback=_place)


Threads = Annotated[int | None, typer.Option(help="Threads; as many as pay by default. The spikes do not depend on it.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the two pictures.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the training and of the network.")] = 0,
) -> None:
    """Train a digit classifier, convert it to spikes and run it; then run the balanced network. All offline."""
    from spikesim.demo import run_demo

    run_demo(out, seed=seed)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A network (Network.save), a simulation (Simulation.save) or a chip image (spikesim map).")],
    time: Annotated[float, typer.Option(help="Model time to run, in ms.")] = 1000.0,
    dt: Annotated[float, typer.Option(help="Time step in ms (of a network; a simulation has its own).")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed (of a network).")] = 0,
    engine: Annotated[str | None, typer.Option(help="cpu or reference.")] = None,
    threads: Threads = None,
    out: Annotated[Path | None, _written("Write the recording to this HDF5 file as it comes.")] = None,
    state: Annotated[Path | None, _written("Write the simulation to this file at the end, to go on later.")] = None,
    backend: Annotated[str, typer.Option(help="Of an image: emulator or lava.")] = "emulator",
) -> None:
    """Run a saved network or chip image, or go on with a saved simulation, and print the firing rates."""
    from spikesim.run_file import run_file
    from spikesim.storage import kind_of

    kind = kind_of(file)
    if kind.endswith("_image"):
        from spikesim.map_file import run_image_file

        if engine is not None or state is not None:
            raise UnsupportedError("run: a chip image is run by its emulator, without --engine and --state")
        return run_image_file(file, kind, time=time, backend=backend, seed=seed, threads=threads, out=out)
    run_file(file, time=time, dt=dt, seed=seed, engine=engine, threads=threads, out=out, state=state)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="cuba, coba, brunel or microcircuit; feedforward or feedforward_sparse.")],
    scale: Annotated[float, typer.Option(help="Number of neurons, times the published one.")] = 1.0,
    threads: Threads = None,
    time: Annotated[float | None, typer.Option(help="Model time of one timed segment, in ms; by default 1000, or 100 samples.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed segments; the median is reported.")] = 3,
    precision: Annotated[str | None, typer.Option(help="float32, the default, or float64.")] = None,
    batch: Annotated[int, typer.Option(help="Samples at once, of the feed-forward networks.")] = 1,
    procedural: Annotated[bool, typer.Option("--procedural", help="Draw synapses again at each spike instead of storing them.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Compare each phase of a step with the limits of this machine.")] = False,
    json: Annotated[Path | None, _written("Also write the figures to this file.")] = None,
) -> None:
    """Measure a published network: build time, wall time per model time, events per second, memory."""
    from spikesim.bench import bench_network

    bench_network(name, scale=scale, threads=threads, duration=time, repeats=repeats, precision=precision, batch=batch,
                  procedural=procedural, profile=profile, json_path=json)  # fmt: skip


@app.command(name="map")
def map_network(
    file: Annotated[Path, typer.Argument(help="A network (Network.save); one of float neurons is quantised first.")],
    chip: Annotated[str, typer.Option(help="loihi1, loihi2 or truenorth.")],
    dt: Annotated[float, typer.Option(help="Time step in ms, of a network that is quantised.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of random connections and of the search.")] = 0,
    out: Annotated[Path | None, _written("Write the chip image to this file, for spikesim run.")] = None,
    report: Annotated[Path | None, _written("Write a page with the report and a heat map.")] = None,
) -> None:
    """Map a saved network onto a chip and print what it takes."""
    from spikesim.map_file import map_file

    map_file(file, chip=chip, dt=dt, seed=seed, out=out, report=report)


@app.command()
def zoo(
    names: Annotated[list[str] | None, typer.Argument(help="Models; by default all but the one on Fashion-MNIST.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also the model on Fashion-MNIST.")] = False,
    steps: Annotated[int, typer.Option(help="Steps of rate coding; it is also judged after 4, 8 and 32.")] = 64,
    burst: Annotated[int, typer.Option(help="The most spikes a neuron sends in a step of rate coding; 1: plain spikes.")] = 4,
    images: Annotated[int, typer.Option(help="The most test inputs a model.")] = 500,
    json: Annotated[Path | None, _written("Also write the figures to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a page of HTML for each model.")] = None,
) -> None:
    """Train the models of the zoo (or load them), convert them and print one table: networks beside their spiking copies."""
    from spikesim.zoo_table import zoo_table

    rows = zoo_table(names or [], everything=everything, steps=steps, burst=burst, images=images, json_path=json, reports=report)
    if any(row.failure for row in rows):
        raise typer.Exit(1)


@app.command()
def info() -> None:
    """Print versions, machine, engines, and where compiled kernels are kept."""
    from spikesim.info import print_info

    print_info()


def main() -> None:
    """Run the command line; errors of spikesim end it with one sentence and exit code 1, Ctrl-C with 130."""
    try:
        app()
    except (SpikesimError, OSError) as error:  # a file that cannot be read or written
        print(f"spikesim: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("spikesim: interrupted", file=sys.stderr)
        sys.exit(130)
