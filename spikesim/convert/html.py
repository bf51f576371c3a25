"""The comparison of a converted network as one page of HTML that needs no other file and no network."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from html import escape
from io import StringIO
from string import Template
from typing import TYPE_CHECKING, Any

from spikesim.convert.comparison import CONSTANT, PARTS_NOTE, SENT_NOTE, Comparison
from spikesim.convert.figures import BLACK, error_bars, over_steps, work_bars
from spikesim.convert.tables import COLUMNS, LEFT, headlines, layer_cells, work_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SNN beside ANN</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: light-dark(#222, #ddd); background: light-dark(#fff, #181a1d); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid light-dark(#ddd, #3a3d42); white-space: nowrap; }
th.left, td.left { text-align: left; }
tr:last-child.sum td { font-weight: bold; }
.note { color: light-dark(#666, #999); font-size: 0.85rem; max-width: 46rem; }
svg { max-width: 100%; height: auto; }
</style>
</head>
<body>
<h1>Spiking network beside the original</h1>
$body
</body>
</html>
""")
INK, SEEN = BLACK, "currentColor"
STYLE: Any = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}  # fmt: skip


def page(comparison: Comparison) -> str:
    """The page; every text from outside is escaped."""
    sections = [
        _items(headlines(comparison)),
        _heading("Score over steps") + _drawn(over_steps, comparison),
        _heading("Layers") + _layers(comparison) + _note(SENT_NOTE + " Numbers are means per image; relayed spikes are graded."),
        _heading("Error by cause") + _drawn(error_bars, comparison) + _note(PARTS_NOTE + f" {comparison.sample} images."),
        _heading("Spikes and operations") + _drawn(work_bars, comparison),
        _heading("Energy") + _energy(comparison),
        _heading("What is not neurons") + _rest(comparison),
        _heading("Settings") + _table(("setting", "value"), asdict(comparison.report.settings).items(), left=2),
    ]
    return PAGE.substitute(body="\n".join(sections))


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>\n"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _items(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], *, left: int, total: bool = False) -> str:
    """A table whose first ``left`` columns are text; total: the last row is a sum."""

    def row(cells: Sequence[object], tag: str, kind: str = "") -> str:
        inner = (f"<{tag}{' class=left' if at < left else ''}>{escape(str(cell))}</{tag}>" for at, cell in enumerate(cells))
        return f"<tr{kind}>{''.join(inner)}</tr>"

    body = "\n".join(row(cells, "td", " class=sum" if total else "") for cells in rows)
    return f'<div class="wide"><table><thead>{row(head, "th")}</thead>\n<tbody>{body}</tbody></table></div>'


def _layers(comparison: Comparison) -> str:
    names = [name for name, _ in COLUMNS]
    rows = [layer_cells(layer) for layer in comparison.layers] + [{"layer": "all"} | work_cells(comparison.work)]
    return _table(names, [[row.get(name, "") for name in names] for row in rows], left=len(LEFT), total=True)


def _energy(comparison: Comparison) -> str:
    found = comparison.energy
    estimates = (("ANN", found.ann), ("SNN, additions", found.snn), ("SNN, Loihi", found.loihi), ("of each: from the image", found.analog))
    constants = [(name, f"{getattr(found.constants, name):g}", source) for name, source in found.constants.sources().items()]
    shares = [(name, f"{value:,.4g}", f"{value / found.ann:.3f}" if found.ann else "") for name, value in estimates]
    note = "Arithmetic only: memory, neuron updates, communication and leakage are not counted. Graded spikes count as MACs. "
    return (_table(("one image", "nJ", "of the ANN"), shares, left=1) + "<br>"
            + _table(("constant", "pJ", "source"), constants, left=3) + _note(note + CONSTANT))  # fmt: skip


def _rest(comparison: Comparison) -> str:
    report = comparison.report
    analog = _items(f"analog by request: {label}" for label in report.analog) if report.analog else "<p>Nothing stayed analog.</p>"
    outside = f"<p>Applied to the read-out: {escape(report.outside)}.</p>" if report.outside else ""
    relays = _table(("relay", "passes on the sum of"), report.relays, left=2) if report.relays else "<p>There are no relays.</p>"
    return analog + outside + relays


def _drawn(draw: "Callable[[Comparison], Figure]", comparison: Comparison) -> str:
    """A picture as an SVG element that takes the page's colour of text, with identifiers of its own."""
    import matplotlib

    text = StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": draw.__name__}):
        draw(comparison).savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], count=2, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg, count=2)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{draw.__name__}-", svg)
    return svg.replace(INK, SEEN)
