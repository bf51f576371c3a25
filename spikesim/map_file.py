"""What `spikesim map` does, and `spikesim run` with a chip image."""

from collections.abc import Callable
from pathlib import Path

from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.quantize import quantize
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.recording import Recording
from spikesim.run_file import print_rates

QUANTIZED = ("loihi1", "loihi2")  # chips whose neurons are integers of their own


def map_file(file: Path, *, chip: str, dt: float, seed: int, out: Path | None, report: Path | None) -> None:
    """Map the network in ``file`` onto ``chip`` and print what it takes.

    For chips that need it neurons of floats are quantised to steps of ``dt`` ms first; ``seed`` is that of the search.
    """
    network = Network.load(file)
    options = {}
    if chip in QUANTIZED:
        options = {"seed": seed}
        if any(isinstance(population.model, LIF | IF) for population in network.populations.values()):
            quantized = quantize(network, dt=dt, seed=seed)
            print(quantized.report)
            network = quantized.network
    elif report is not None:
        raise UnsupportedError(f"map: the page of a report is made for {' and '.join(QUANTIZED)}, not for {chip!r}; leave out --report")
    image = map_to(network, chip, **options)
    print(image.report if chip in QUANTIZED else image)
    if report is not None:
        image.report.save_html(report)
        print(f"report: {report}")
    if out is not None:
        image.save(out)
        print(f"image: {out}")


def run_image_file(file: Path, kind: str, *, time: float, backend: str, seed: int, threads: int | None, out: Path | None) -> None:
    """Run the chip image in ``file``, one of `IMAGES`, for ``time`` steps of 1 ms and print the rate of each recorded population."""
    if time != int(time):
        raise DescriptionError(f"run: a chip's steps are 1 ms, got {time:g} ms")
    recording = IMAGES[kind](file, steps=int(time), backend=backend, seed=seed, threads=threads)
    print_rates(recording)
    if out is not None:
        recording.save(out)
        print(f"recording: {out}")


def _truenorth(file: Path, *, steps: int, backend: str, seed: int, threads: int | None) -> Recording:
    """Prints what happened and the power it would take, too."""
    from spikesim.hardware.truenorth import ChipImage, Emulator
    from spikesim.hardware.truenorth.report import power

    if backend != "emulator":
        raise UnsupportedError(f"run: a TrueNorth image runs on its emulator, got backend {backend!r}")
    image = ChipImage.load(file)
    emulator = Emulator(image, seed=seed, threads=threads)
    print(image)
    recording = emulator.run(steps=steps)
    activity = emulator.activity
    print(f"{activity.spikes:,} spikes, {activity.synaptic_events:,} synaptic events, {activity.hops:,} hops")
    for name, value in power(activity, image.cores).items():
        print(f"power by {name}: {value:.3g} mW")
    return recording


def _loihi(file: Path, *, steps: int, backend: str, seed: int, threads: int | None) -> Recording:
    from spikesim.hardware.loihi.image import ChipImage

    return ChipImage.load(file).run(steps, backend=backend, seed=seed, threads=threads)


IMAGES: dict[str, Callable[..., Recording]] = {"truenorth_image": _truenorth, "loihi_image": _loihi}  # by the kind of file
