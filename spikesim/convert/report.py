"""The report of a conversion: what each layer became."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerReport:
    """One layer: its population, thresholds (least, largest), the share of calibration activations above them."""

    layer: str
    population: str
    shape: tuple[int, ...]
    macs: int
    thresholds: tuple[float, float] | None
    clipped: float | None


@dataclass(frozen=True)
class ConversionReport:
    """All layers, and the percentile that set the thresholds."""

    layers: tuple[LayerReport, ...]
    percentile: float

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the original network for one input."""
        return sum(layer.macs for layer in self.layers)

    @property
    def input_macs(self) -> int:
        """Those of the first layer, which stays analog: it turns the image into a current, once."""
        return self.layers[0].macs

    def __str__(self) -> str:
        lines = [f"{'layer':<12} {'population':<12} {'shape':<14} {'MACs':>10}  {'thresholds':<18} clipped"]
        for layer in self.layers:
            spiking = layer.thresholds is not None and layer.clipped is not None
            span = f"{layer.thresholds[0]:.3g} .. {layer.thresholds[1]:.3g}" if layer.thresholds else "read out, no spikes"
            lines.append(f"{layer.layer:<12} {layer.population:<12} {layer.shape!s:<14} {layer.macs:>10,}  {span:<18} "
                         f"{f'{100 * layer.clipped:.2f} %' if spiking and layer.clipped is not None else ''}".rstrip())  # fmt: skip
        return "\n".join(lines)
