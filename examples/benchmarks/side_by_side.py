"""Run spikesim and a peer in turn, each in a process of its own, on a machine that is quiet, and print the ratios."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spikesim.info import versions

QUIET = 0.10  # share of the cores that others may use
PATIENCE = 60.0  # seconds to wait for it

WIDTH = 140  # of the table at least, so that it can be kept in a file
FIGURES = {  # column: (what a measurement calls it, what to divide it by)
    "rate (Hz)": ("rate_hz", 1.0),
    "build (s)": ("build_time_s", 1.0),
    "memory (GB)": ("peak_memory_bytes", 1e9),
}

Measure = Callable[[], dict[str, float]]


def busy_share(seconds: float = 0.5) -> float:
    """The share of all cores that is in use, this sleeping process aside."""

    def ticks() -> tuple[int, int]:
        numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(numbers), sum(numbers) - numbers[3] - numbers[4]

    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return (after[1] - before[1]) / max(1, after[0] - before[0])


def wait_for_quiet() -> bool:
    """Wait until others use little of the machine; False if that did not happen in time."""
    end = time.monotonic() + PATIENCE
    while busy_share() > QUIET:
        if time.monotonic() > end:
            return False
    return True


def spikesim_bench(name: str, *options: str) -> Measure:
    """A measurement by `spikesim bench NAME` with one timed segment."""

    def measure() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "figures.json"
            command = [sys.executable, "-m", "spikesim", "bench", name, "--repeats", "1", "--json", str(target), *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return json.loads(target.read_text())

    return measure


def script(path: Path, *arguments: str) -> dict[str, float]:
    """Run a peer's script; the last line it prints is JSON."""
    done = subprocess.run([sys.executable, str(path), *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def side_by_side(title: str, contenders: dict[str, Measure], *, rounds: int, also: Mapping[str, float] | None = None) -> list[float]:
    """Measure the contenders in turn for so many rounds; print and return the ratios of the others to the first.

    Each measurement returns ``wall_per_model_time``, and the figures of `FIGURES` that are to be shown.
    also: further columns, multiples of wall / model time.
    """
    console = Console(width=max(WIDTH, Console().width))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for round_ in range(rounds):
        for name, measure in contenders.items():
            quiet = wait_for_quiet()
            found[name].append(measure())
            note = "" if quiet else "  (the machine was not quiet)"
            console.print(f"round {round_ + 1} {name}: wall / model time {found[name][-1]['wall_per_model_time']:.4g}{note}")
    print_table(console, title, found, also or {})
    ours, *others = (entries for entries in found.values())
    return [statistics.median(_ratios(entries, ours)) for entries in others]


def print_table(console: Console, title: str, found: dict[str, list[dict[str, float]]], also: Mapping[str, float]) -> None:
    """Medians with the spread of the times, and the ratio of each contender to the first, round by round."""
    table = Table(title=title)
    ours = next(iter(found.values()))
    shown = {column: figure for column, figure in FIGURES.items() if figure[0] in ours[0]}
    for column in ("", "wall / model time", *also, *shown, "times slower"):
        table.add_column(column, justify="right" if column else "left")
    for name, entries in found.items():
        walls = [entry["wall_per_model_time"] for entry in entries]
        others = (statistics.median([entry[key] for entry in entries]) / divisor for key, divisor in shown.values())
        table.add_row(name, _spread(walls), *(_spread([factor * wall for wall in walls]) for factor in also.values()),
                      *(f"{figure:.2f}" for figure in others), _spread(_ratios(entries, ours)))  # fmt: skip
    console.print(table)
    console.print(f"{os.cpu_count()} cores; " + ", ".join(f"{name} {version}" for name, version in versions().items()))


def _spread(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.3g} ({min(numbers):.3g} .. {max(numbers):.3g})"


def _ratios(entries: Sequence[dict[str, float]], ours: Sequence[dict[str, float]]) -> list[float]:
    return [a["wall_per_model_time"] / b["wall_per_model_time"] for a, b in zip(entries, ours, strict=True)]
