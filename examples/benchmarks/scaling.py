"""How time and memory grow with the microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, on this machine.

    python examples/benchmarks/scaling.py [--out scaling.png] [--precision float32] [--scales 0.1 --scales 0.2 ...]

Each point is a process of its own, started when the machine is quiet: building, 200 ms of warm-up, one timed segment. Neurons
and synapses of a neuron shrink alike, so that the number of synapses, and with it memory, grows with the square of the scale.
"""

from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from side_by_side import spikesim_bench, wait_for_quiet

PANELS = {  # title: (unit, figure of the bench, what to divide it by)
    "wall time / model time": ("", "wall_per_model_time", 1.0),
    "build time": ("s", "build_time_s", 1.0),
    "peak memory": ("GB", "peak_memory_bytes", 1e9),
}
COLOURS = ("#1f4e79", "#c0392b", "#2e8b57", "#8e5ea2")

Figures = dict[str, float]


def measure(scale: float, threads: int, precision: str, time: float) -> Figures:
    options = {"scale": scale, "threads": threads, "precision": precision, "time": time}
    quiet = wait_for_quiet()
    found = spikesim_bench("microcircuit", *(f"--{name}={value}" for name, value in options.items()))()
    shown = ", ".join(f"{title} {found[key] / divisor:.3g} {unit}".rstrip() for title, (unit, key, divisor) in PANELS.items())
    print(f"scale {scale:g}, {threads} thread(s): {shown}{'' if quiet else '  (the machine was not quiet)'}", flush=True)
    return found


def picture(found: dict[tuple[int, float], Figures], precision: str) -> Figure:
    """The panels beside each other, a line for each number of threads, over (threads, scale)."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    scales = sorted({scale for _, scale in found})
    for axes, (title, (unit, key, divisor)) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for threads, colour in zip(sorted({threads for threads, _ in found}), COLOURS, strict=False):
            values = [found[threads, scale][key] / divisor for scale in scales]
            axes.loglog(scales, values, "o-", color=colour, label=f"{threads} thread{'s' if threads > 1 else ''}")
        axes.set(xlabel="scale", title=f"{title} ({unit})" if unit else title)
        axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].axhline(1.0, color="grey", ls="--", lw=1)  # real time
    figure.axes[0].legend()
    figure.suptitle(f"Cortical microcircuit, {precision}")
    return figure


def main(
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("scaling.png"),
    scales: Annotated[list[float], typer.Option(help="May be given more than once.")] = [0.1, 0.2, 0.5, 1.0],  # noqa: B006
    threads: Annotated[list[int], typer.Option(help="May be given more than once.")] = [1, 2],  # noqa: B006
    precision: str = "float32",
    time: Annotated[float, typer.Option(help="Model time of the timed segment in ms.")] = 1000.0,
) -> None:
    for number in threads:  # kernels are compiled here, not while a build is timed
        spikesim_bench("microcircuit", "--scale=0.02", "--time=1", f"--threads={number}", f"--precision={precision}")()
    found = {(number, scale): measure(scale, number, precision, time) for scale in scales for number in threads}
    picture(found, precision).savefig(out, dpi=150)
    print(f"wrote {out}")


if __name__ == "__main__":
    typer.run(main)
