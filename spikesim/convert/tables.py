"""The comparison of a converted network for a terminal, as wide as this is."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spikesim.convert.comparison import CONSTANT, PARTS_NOTE, SENT_NOTE, Comparison, LayerComparison
from spikesim.convert.score import ACCURACY, Score
from spikesim.convert.work import Work

NARROW, WIDE = 110, 150  # below and from which a table has fewer and more columns
POWERS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def rendered(comparison: Comparison, width: int) -> Iterator[RenderableType]:
    """The table of layers, between what holds for the whole network."""
    yield Text("\n".join(headlines(comparison)))
    yield layer_table(comparison, width)
    yield Text("\n".join([*energy_lines(comparison), *remarks(comparison), SENT_NOTE, PARTS_NOTE]))


def headlines(comparison: Comparison) -> list[str]:
    """The outcome in a few lines."""
    found = comparison.score
    shown = [step for step in STEPS if step < comparison.steps] + [comparison.steps]
    within = f"from step {found.within} on" if found.within else f"not within {comparison.steps} steps"
    lines = [
        f"{comparison.images:,} images, {comparison.steps} steps, {comparison.coding} coding",
        f"{found.metric}: ANN {metric(found, found.ann)}, SNN {metric(found, found.snn[-1])}; within 1 % of the ANN {within}",
        "after steps " + ", ".join(f"{step}: {metric(found, found.snn[step - 1])}" for step in shown),
    ]
    if found.agreement is not None:
        lines.append(f"predictions that agree with the ANN's: {percent(found.agreement[-1])}")
    if comparison.mean_steps < comparison.steps:
        lines.append(f"images took {comparison.mean_steps:.1f} steps on average")
    return lines


def layer_table(comparison: Comparison, width: int) -> Table:
    """A row for each layer, and their sum."""
    names = [name for name, least in COLUMNS if least <= width]
    table = Table(title="per layer, means per image", box=None, pad_edge=False, collapse_padding=True, padding=(0, 1), title_justify="left")
    for name in names:
        left = name in LEFT
        table.add_column(name, justify="left" if left else "right", no_wrap=True, overflow="ellipsis", min_width=LEAST if left else None)
    for layer in comparison.layers:
        cells = layer_cells(layer)
        table.add_row(*(Text(cells[name]) for name in names))
    total = {"layer": "all"} | work_cells(comparison.work)
    table.add_row(*(Text(total.get(name, "")) for name in names), style="bold")
    return table


LEFT, LEAST = ("layer", "neuron", "in the module"), 10  # columns of text, and how far they may shrink
COLUMNS = (  # name, and the width of the terminal from which on it is shown
    ("layer", 0), ("in the module", WIDE), ("neuron", NARROW), ("neurons", NARROW), ("spikes", 0), ("rate", 0), ("relayed", NARROW),
    ("ops", 0), ("MACs", 0), ("ops/MAC", 0), ("clipping", 0), ("quantis.", 0), ("uneven", 0), ("error", 0),
)  # fmt: skip


def layer_cells(layer: LayerComparison) -> dict[str, str]:
    """The texts of a row by the name of the column."""
    cells = {"layer": layer.name, "in the module": layer.where, "neuron": layer.neuron, "neurons": f"{layer.neurons:,}"}
    error = layer.error
    parts = ("",) * 4 if error is None else tuple(map(small, (error.clipping, error.quantisation, error.unevenness, error.total)))
    return cells | work_cells(layer.work) | dict(zip(("clipping", "quantis.", "uneven", "error"), parts, strict=True))


def work_cells(work: Work | None) -> dict[str, str]:
    """The texts of what a layer costs."""
    if work is None:
        return dict.fromkeys(("spikes", "rate", "relayed", "ops", "MACs", "ops/MAC"), "")
    operations = work.operations + work.relayed_operations
    return {"spikes": short(work.spikes), "rate": f"{work.rate:.3f}", "relayed": short(work.relayed), "ops": short(operations),
            "MACs": short(work.macs), "ops/MAC": f"{operations / work.macs:.2f}" if work.macs else ""}  # fmt: skip


def energy_lines(comparison: Comparison) -> list[str]:
    """The estimates of energy and what they rest on."""
    found = comparison.energy
    constants = [f"{name} {getattr(found.constants, name):g} pJ: {source}" for name, source in found.constants.sources().items()]
    return [f"energy of an image (arithmetic only): ANN {found.ann:,.4g} nJ, SNN {found.snn:,.4g} nJ, SNN on Loihi {found.loihi:,.4g} nJ; "
            f"{found.analog:,.4g} nJ of each for the operators that see the image", CONSTANT, *constants]  # fmt: skip


def remarks(comparison: Comparison) -> list[str]:
    """What is not neurons."""
    report = comparison.report
    lines = [f"relay {name}: {where}" if where else f"relay {name}" for name, where in report.relays]
    lines += [f"analog by request: {label}" for label in report.analog] or ["nothing stayed analog"]
    return lines + ([f"applied to the read-out: {report.outside}"] if report.outside else [])


def metric(found: Score, value: float) -> str:
    """A value of the score's metric."""
    return percent(value) if found.metric == ACCURACY else small(value)


def percent(share: float) -> str:
    """A share."""
    return f"{100 * share:.2f} %"


def small(value: float) -> str:
    """A relative error."""
    return "0" if value == 0.0 else f"{value:.4f}" if value >= 1e-3 else f"{value:.0e}"


def short(number: float) -> str:
    """A count with three digits or so: 12.3k."""
    for power, letter in POWERS:
        if abs(number) >= 0.9995 * power:
            return f"{number / power:.3g}{letter}"
    return f"{number:.3g}"
