"""What the comparisons with other simulators share: their command line, and how each peer is started."""

import math
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from side_by_side import Measure, script, side_by_side, spikesim_bench

from spikesim.machine import cores

PEERS = Path(__file__).parent / "peers"
ANY = math.inf


class Setting(NamedTuple):
    """What is compared: a benchmark of `spikesim bench`, and a folder to build in."""

    network: str
    scale: float
    time: float | None  # ms
    folder: str
    batch: int


def options(**values: Any) -> list[str]:
    """Options of a command; those that are None are left to it."""
    return [text for name, value in values.items() if value is not None for text in (f"--{name}", str(value))]


def nest(setting: Setting, threads: int) -> dict[str, Measure]:
    arguments = [setting.network, *options(scale=setting.scale, threads=threads, time=setting.time)]
    return {f"NEST, {_threads(threads)}": partial(script, PEERS / "nest_networks.py", *arguments)}


def brian2(setting: Setting, threads: int) -> dict[str, Measure]:
    """Compiles at once, which is not measured."""
    program, folder = PEERS / "brian2_networks.py", f"{setting.folder}/{threads}"
    script(program, "build", folder, setting.network, *options(scale=setting.scale, threads=threads, time=setting.time))
    return {f"Brian2 C++, {_threads(threads)}": partial(script, program, "run", folder)}


def norse(setting: Setting, threads: int) -> dict[str, Measure]:
    arguments = [setting.network, *options(batch=setting.batch, threads=threads, time=setting.time)]
    return {f"norse, {_threads(threads)}": partial(script, PEERS / "norse_feedforward.py", *arguments)}


PREPARE = {"nest": nest, "brian2": brian2, "norse": norse}
# NEST always gains from all cores; what the others do best with differs from network to network, so both are measured
THREADS = {"nest": {cores()}, "brian2": {1, cores()}, "norse": {1, cores()}}


def contest(network: str, peers: Mapping[str, float], *, also: Mapping[str, float] | None = None) -> Callable[..., None]:
    """The command of a comparison. ``peers``: up to which scale each can be asked; ``also``: further columns (see `side_by_side`)."""

    def main(
        against: Annotated[str, typer.Option(help=", ".join(peers))] = next(iter(peers)),
        scale: Annotated[float, typer.Option(help="Number of neurons, times the published one.")] = 1.0,
        threads: Annotated[int | None, typer.Option(help="Threads of spikesim.")] = None,
        peer_threads: Annotated[int | None, typer.Option(help="Threads of the peer; what may suit it best by default.")] = None,
        rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 5,
        time: Annotated[float | None, typer.Option(help="Model time of a measurement, in ms.")] = None,
        batch: Annotated[int, typer.Option(help="Samples at once; NEST and Brian2 take one after the other all the same.")] = 1,
        precision: Annotated[str | None, typer.Option(help="Precision of spikesim: float32 or float64.")] = None,
    ) -> None:
        check(network, peers, against, scale)
        chosen = options(threads=threads, precision=precision, batch=None if batch == 1 else batch)
        ours = spikesim_bench(network, *options(scale=scale, time=time), *chosen)
        contenders = {" ".join(["spikesim", *chosen]): ours}
        with tempfile.TemporaryDirectory() as folder:
            setting = Setting(network, scale, time, folder, batch)
            for number in sorted(THREADS[against]) if peer_threads is None else [peer_threads]:
                contenders |= PREPARE[against](setting, number)
            side_by_side(f"{network}, scale {scale:g}", contenders, rounds=rounds, also=also)

    return main


def check(network: str, peers: Mapping[str, float], against: str, scale: float) -> None:
    """Raise `typer.BadParameter` if a peer does not run the network at this scale."""
    if against not in peers:
        raise typer.BadParameter(f"{network} is not compared with {against!r}; there is {', '.join(peers)}", param_hint="--against")
    if scale > peers[against]:
        raise typer.BadParameter(f"{against} runs {network} up to scale {peers[against]:g}, got {scale:g}", param_hint="--scale")


def _threads(number: int) -> str:
    return f"{number} thread" if number == 1 else f"{number} threads"
