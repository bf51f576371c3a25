"""What `spikesim map` does, and `spikesim run` with an image."""

from pathlib import Path

from spikesim.hardware import map_to
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.quantize import quantize
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.run_file import print_rates


def map_file(file: Path, *, chip: str, dt: float, seed: int, out: Path | None, report: Path | None) -> None:
    """Map the network in ``file`` onto ``chip``, float networks quantised to steps of ``dt`` ms first, and print the report."""
    network = Network.load(file)
    if any(isinstance(population.model, LIF | IF) for population in network.populations.values()):
        quantized = quantize(network, dt=dt, seed=seed)
        print(quantized.report)
        network = quantized.network
    image = map_to(network, chip, seed=seed)
    print(image.report)
    if report is not None:
        image.report.save_html(report)
        print(f"report: {report}")
    if out is not None:
        image.save(out)
        print(f"image: {out}")


def run_image_file(file: Path, *, steps: int, backend: str, seed: int, out: Path | None) -> None:
    """Run the image in ``file`` and print the rate of each recorded population (at steps of 1 ms)."""
    recording = ChipImage.load(file).run(steps, backend=backend, seed=seed)
    print_rates(recording)
    if out is not None:
        recording.save(out)
        print(f"recording: {out}")
