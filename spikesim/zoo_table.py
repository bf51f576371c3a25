"""What `spikesim zoo` does: every model of the zoo beside the spiking network that it becomes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import nn

from spikesim.convert import ConvertedNetwork, from_torch
from spikesim.convert.calibrate import RATE, SIGNED
from spikesim.convert.score import relative_error
from spikesim.errors import DescriptionError
from spikesim.info import versions
from spikesim.models import zoo

READ = (4, 8, 32)  # steps after which rate coding is judged, beside the last one
CALIBRATION = 512  # training inputs from which thresholds are taken
LEVELS = 1 << 16  # of signed coding: its error is that of rounding to so many
COUNTED, COMPARED = 256, 64  # levels and samples of the comparison with the quantised network; more find ties within rounding
SETTLED = 400  # steps after which signed coding has to be silent; it ends when it is
REPORTED = 64  # inputs of a report
SLOW = ("fashion_resnet20",)  # only by name, or with all: minutes to train

WIDEST = 200  # characters; a narrower terminal breaks the lines

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """A model and its conversions.

    ann: the metric of the module; snn: of rate coding, by number of steps; settled: of signed coding at its end; error,
    settled_error: of the outputs, as L2 norm relative to the module's; off_quantised: with `COUNTED` levels, largest difference
    of settled outputs from those of the quantised network, relative to its largest; settled_steps: the most that a sample took;
    spikes, operations: mean of a sample in rate coding, the latter relative to the module's multiply-accumulates; relays, analog:
    their number; failure: what went wrong, if something did.
    """

    model: str
    family: str
    metric: str
    ann: float = math.nan
    snn: Mapping[int, float] = field(default_factory=dict)
    settled: float = math.nan
    error: float = math.nan
    settled_error: float = math.nan
    off_quantised: float = math.nan
    settled_steps: int = 0
    spikes: float = math.nan
    operations: float = math.nan
    relays: int = 0
    analog: int = 0
    samples: int = 0
    seconds: float = 0.0
    failure: str | None = None


def zoo_table(names: Sequence[str], *, everything: bool, steps: int, burst: int, images: int, json_path: Path | None,
              reports: Path | None) -> list[Row]:  # fmt: skip
    """Train or load, convert and run models, print the table; Ctrl-C ends it after the rows that are done.

    names: of the zoo, by default all but the slow ones; steps: of rate coding; burst: the most spikes a neuron sends in a
    step there; images: the most test inputs; reports: a folder for a page of HTML for each model.
    """
    chosen = _chosen(names, everything)
    _check({"steps": steps, "burst": burst, "images": images})
    if reports is not None:
        reports.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    console = Console(stderr=True)
    try:
        with console.status("") as status:
            for at, name in enumerate(chosen, 1):
                title = f"{at} of {len(chosen)}, {name}"
                rows.append(_row(name, steps, burst, images, reports, lambda what, title=title: status.update(f"{title}: {what}")))
    finally:
        _finish(rows, steps, burst, json_path)
    return rows


def _chosen(names: Sequence[str], everything: bool) -> list[str]:
    wanted = list(names) or [name for name in zoo.ZOO if everything or name not in SLOW]
    for name in wanted:
        zoo.entry(name)  # raises for unknown names
    return wanted


def _check(counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if count < 1:
            raise DescriptionError(f"zoo: {name}: expected at least 1, got {count}")


def _row(name: str, steps: int, burst: int, images: int, reports: Path | None, tell: Tell) -> Row:
    """The row of a model; what goes wrong is told in it and does not stop the others."""
    entry, started = zoo.entry(name), time.perf_counter()
    found: dict[str, Any]
    try:
        found = _measured(name, steps, burst, images, reports, tell)
    except Exception as error:
        found = {"failure": f"{type(error).__name__}: {error}"}
    return Row(name, entry.family, entry.metric, **found, seconds=time.perf_counter() - started)


def _measured(name: str, steps: int, burst: int, images: int, reports: Path | None, tell: Tell) -> dict[str, Any]:
    tell("training, unless its weights are in the cache")
    module = zoo.trained(name, progress=lambda epoch, loss: tell(f"training, epoch {epoch}, loss {loss:.3g}"))
    held = zoo.held_out(name, samples=images)
    wanted = zoo.responses(module)(held.inputs).astype(np.float64)
    calibration = zoo.entry(name).data().train_inputs[:CALIBRATION]
    tell(f"rate coding, {len(held.inputs)} samples")
    rate = from_torch(module, calibration, coding=RATE, burst=burst, percentile=99.9 if burst == 1 else 100.0)
    counted = rate.run(held.inputs, steps=steps)
    read = sorted({step for step in READ if step < steps} | {steps})
    tell(f"signed coding, {len(held.inputs)} samples")
    settled = _signed(module, calibration, LEVELS).run(held.inputs, steps=SETTLED)
    tell("signed coding beside the quantised network")
    off = _off_quantised(_signed(module, calibration, COUNTED), held.inputs[:COMPARED])
    if reports is not None:
        tell("report")
        _report(rate, held, steps, reports / f"{name}.html")
    return {
        "ann": held.score(wanted), "snn": {step: held.score(counted.outputs[step - 1]) for step in read}, "samples": len(held.inputs),
        "error": relative_error(counted.outputs[-1], wanted), "off_quantised": off,
        "settled": held.score(settled.outputs[-1]), "settled_error": relative_error(settled.outputs[-1], wanted),
        "settled_steps": int(settled.ended.max()),
        "spikes": float(counted.total_spikes.mean()), "operations": float(counted.total_operations.mean() / max(rate.report.macs, 1)),
        "relays": len(rate.report.relays), "analog": len(rate.report.analog),
    }  # fmt: skip


def _signed(module: nn.Module, calibration: np.ndarray, levels: int) -> ConvertedNetwork:
    return from_torch(module, calibration, coding=SIGNED, levels=levels, burst=levels, percentile=100.0)


def _off_quantised(signed: ConvertedNetwork, inputs: np.ndarray) -> float:
    wanted = signed.quantised(inputs)
    return float(np.abs(signed.run(inputs, steps=SETTLED).outputs[-1] - wanted).max() / (np.abs(wanted).max() or 1.0))


def _report(converted: ConvertedNetwork, held: zoo.HeldOut, steps: int, path: Path) -> None:
    labels = held.targets[:REPORTED] if held.metric == "accuracy" and (held.targets >= 0).all() else None
    converted.compare(held.inputs[:REPORTED], labels, steps=steps).save(path)


def _finish(rows: Sequence[Row], steps: int, burst: int, json_path: Path | None) -> None:
    found = table(rows, steps, burst)
    console = Console()
    console.width = max(console.width, console.measure(found, options=console.options.update(width=WIDEST)).maximum)
    console.print(found)
    for row in rows:
        if row.failure is not None:
            console.print(f"{row.model}: {row.failure}", style="red", markup=False)
    if json_path is not None:
        settings = {"steps": steps, "burst": burst, "levels": LEVELS, "calibration": CALIBRATION, "versions": versions()}
        json_path.write_text(json.dumps(settings | {"rows": [_plain(row) for row in rows]}, indent=1, allow_nan=False) + "\n")


def _plain(row: Row) -> dict[str, Any]:
    """The row for JSON; numbers that JSON has not are None."""

    def known(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: {k: known(v) for k, v in value.items()} if isinstance(value, Mapping) else known(value)
            for key, value in asdict(row).items()}  # fmt: skip


def table(rows: Sequence[Row], steps: int, burst: int) -> Table:
    """The rows as a table."""
    read = sorted({step for step in READ if step < steps} | {steps})
    spikes = "one spike" if burst == 1 else f"spikes of size up to {burst}"
    made = Table(title="The zoo in spikes", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=(
        f"SNN: rate coding after so many steps, {spikes} a neuron and step; settled: signed coding with {LEVELS:,} levels. err: L2 norm "
        f"relative to the ANN's outputs; =q: largest difference from the quantised network, {COUNTED} levels. "
        "Spikes and ops (synaptic operations over the ANN's MACs) are means of a sample in rate coding."))  # fmt: skip
    for name in ("model", "family", "metric"):
        made.add_column(name)
    for name in ("ANN", *(f"SNN {step}" for step in read), "settled", f"err {steps}", "err settled", "=q", "spikes", "ops/MACs", "relays",
                 "analog"):  # fmt: skip
        made.add_column(name, justify="right")
    for row in rows:
        made.add_row(row.model, row.family, row.metric, *(_cells(row, read) if row.failure is None else ["failed"]))
    return made


def _cells(row: Row, read: Sequence[int]) -> list[str]:
    scores = [row.ann, *(row.snn[step] for step in read), row.settled]
    shown = [f"{value:.1f} dB" if row.metric == "PSNR" else f"{value:.4f}" for value in scores]
    errors = [f"{row.error:.4f}", f"{row.settled_error:.1e}", f"{row.off_quantised:.0e}"]
    return [*shown, *errors, f"{row.spikes:,.0f}", f"{row.operations:.2f}", str(row.relays), str(row.analog)]
