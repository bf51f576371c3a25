"""What the mapper says of its work: use of each core, messages, way, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikesim.hardware.loihi.circuit import Circuit
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.limits import STATE_BITS, chip_named
from spikesim.kernel import kernel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROFILE = ("du", "dv", "vth", "vth_low", "refractory", "interval", "offset", "soft")  # what a compartment configuration holds


@dataclass(frozen=True)
class CoreUse:
    """What each core uses, int64 (cores,) each."""

    compartments: np.ndarray
    input_axons: np.ndarray
    output_axons: np.ndarray
    bits: np.ndarray
    profiles: np.ndarray
    trace_profiles: np.ndarray


def core_use(image: ChipImage) -> CoreUse:
    """Count what the image puts into each core; a soft reset takes two compartments."""
    core = np.repeat(np.arange(image.cores), np.diff(image.core_starts))
    compartments = np.bincount(core, 1 + image.cells["soft"], minlength=image.cores).astype(np.int64)
    sources = np.repeat(np.arange(len(image.route_starts) - 1), np.diff(image.route_starts))
    inside = sources < image.compartments
    output = np.bincount(core[sources[inside]], minlength=image.cores).astype(np.int64)
    columns = np.stack([core, *(image.cells[name] for name in PROFILE)])
    profiles = np.bincount(np.unique(columns, axis=1)[0], minlength=image.cores).astype(np.int64)
    bits = image.bits + STATE_BITS[image.chip] * compartments
    return CoreUse(compartments, np.diff(image.axon_starts), output, bits, profiles, _trace_profiles(image))


def _trace_profiles(image: ChipImage) -> np.ndarray:
    """How many kinds of presynaptic traces, by impulse and time constant, each core holds, int64 (cores,)."""
    kinds = [(each.rule.x_impulse, each.rule.tau_plus) for each in image.plastic]
    plastic = image.port_plastic[image.run_port]
    lists = np.repeat(np.arange(len(image.list_starts) - 1), np.diff(image.list_starts))
    home = np.zeros(len(image.list_starts) - 1, np.int64)
    home[image.axon_list] = image.axon_core  # a list belongs to one core
    found = {(core, kinds[at]) for core, at in np.unique(np.stack([home[lists], plastic]), axis=1).T.tolist() if at >= 0}
    return np.bincount(np.array([core for core, _ in found], np.int64), minlength=image.cores).astype(np.int64)


def traffic_of(circuit: Circuit, core: np.ndarray, rate: np.ndarray, cores: int) -> np.ndarray:
    """Messages per step from core to core, float64 (cores, cores); those of inputs come from outside and are left out."""
    return count_traffic(circuit.rows, circuit.targets, core, rate, cores)


@kernel
def count_traffic(rows, targets, core, rate, cores):
    """One message from each neuron to each core that holds targets of it."""
    traffic = np.zeros((cores, cores))
    seen = np.full(cores, -1, np.int64)
    for i in range(len(core)):
        if core[i] < 0:
            continue
        for k in range(rows[i], rows[i + 1]):
            to = core[targets[k]]
            if seen[to] != i:
                seen[to] = i
                traffic[core[i], to] += rate[i]
    return traffic


@dataclass(frozen=True)
class MappingReport:
    """What a mapping came to.

    messages: per step, from each spike to each further core (at the given rates); naive: cores and messages of the sequential
    and the random mapping; travel: tiles per step that messages between cores travel, travel_unplaced: if cores lay in the order
    of filling; traffic: float64 (cores, cores), messages per step; position: int64 (cores, 3), chip, x, y;
    plastic: for each projection that learns its name, synapses and rule.
    """

    chip: str
    method: str
    use: CoreUse
    messages: float
    naive: dict[str, tuple[int, float]]
    travel: float
    travel_unplaced: float
    traffic: np.ndarray
    position: np.ndarray
    synapses: int
    plastic: tuple[tuple[str, int, str], ...] = ()

    @property
    def cores(self) -> int:
        return len(self.position)

    @property
    def chips(self) -> int:
        return int(self.position[:, 0].max(initial=0)) + 1

    def occupancy(self) -> dict[str, tuple[float, float]]:
        """For each resource with a limit the mean and the largest share of a core that is used."""
        chip = chip_named(self.chip)
        limits = {"compartments": chip.compartments, "input_axons": chip.input_axons, "output_axons": chip.output_axons,
                  "bits": chip.synapse_bits, "profiles": chip.profiles, "trace_profiles": chip.trace_profiles}  # fmt: skip
        shares = {name: getattr(self.use, name) / limit.value for name, limit in limits.items() if limit is not None}
        return {name: (float(share.mean()), float(share.max())) for name, share in shares.items()}

    def __str__(self) -> str:
        lines = [f"{self.chip}: {self.cores:,} cores on {self.chips} chip{'s' if self.chips > 1 else ''}, {self.synapses:,} synapses, "
                 f"{self.method} mapping"]  # fmt: skip
        lines += [f"  {name.replace('_', ' '):<14} {mean:6.1%} of a core on average, {most:6.1%} at most"
                  for name, (mean, most) in self.occupancy().items()]  # fmt: skip
        lines += [f"  learning: {name!r}, {synapses:,} synapses, {rule}" for name, synapses, rule in self.plastic]
        lines += [f"  {self.messages:,.1f} messages a step between cores"]
        lines += [f"  {number:,.1f} with the {name} mapping on {cores:,} cores ({self.messages / max(number, 1e-12):.2f} of it)"
                  for name, (cores, number) in self.naive.items()]  # fmt: skip
        lines += [f"  they travel {self.travel:,.1f} tiles a step, {self.travel_unplaced:,.1f} before placement"]
        return "\n".join(lines)

    def heat_map(self, path: str | Path | None = None) -> Figure:
        """Picture: messages per step that leave and enter each tile, chip by chip; written to ``path`` if given."""
        from matplotlib.figure import Figure

        chip = chip_named(self.chip)
        load = self.traffic.sum(axis=0) + self.traffic.sum(axis=1) - 2 * np.diag(self.traffic)
        tiles = np.zeros((self.chips, chip.mesh[1], chip.mesh[0]))
        np.add.at(tiles, (self.position[:, 0], self.position[:, 2], self.position[:, 1]), load)
        shown = min(self.chips, 16)
        columns = min(shown, 4)
        figure = Figure(figsize=(3.2 * columns + 1, 2.0 * -(-shown // columns) + 0.6), layout="constrained")
        axes = figure.subplots(-(-shown // columns), columns, squeeze=False).ravel()
        for number, ax in enumerate(axes):
            ax.set_axis_off()
            if number < shown:
                drawn = ax.imshow(tiles[number], cmap="magma", vmin=0.0, vmax=max(tiles.max(), 1e-12), origin="lower")
                ax.set_title(f"chip {number}", fontsize=9)
        figure.colorbar(drawn, ax=list(axes), label="messages a step")
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure

    def save_html(self, path: str | Path) -> None:
        """Write a page with the numbers and the heat map in it."""
        from base64 import b64encode
        from html import escape
        from io import BytesIO

        buffer = BytesIO()
        self.heat_map().savefig(buffer, dpi=110, format="png")
        rows = "".join(f"<tr><td>{core}</td><td>{chip}</td><td>{x}, {y}</td>" + "".join(f"<td>{getattr(self.use, name)[core]:,}</td>"
                       for name in vars(self.use)) + "</tr>" for core, (chip, x, y) in enumerate(self.position.tolist()))  # fmt: skip
        heads = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("core", "chip", "tile", *vars(self.use)))
        head = f"<!doctype html><meta charset=utf-8><title>{self.chip}</title><h1>{self.chip}</h1><pre>{escape(str(self))}</pre>"
        picture = f'<img alt="messages a step" src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'
        Path(path).write_text(f"{head}{picture}<table border=1><tr>{heads}</tr>{rows}</table>")
