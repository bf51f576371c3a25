"""What `spikesim map` does, and `spikesim run` with a chip image."""

from pathlib import Path

from spikesim.errors import DescriptionError
from spikesim.hardware.target import map_to
from spikesim.network import Network
from spikesim.recording import Recording


def map_file(file: Path, *, chip: str, out: Path | None) -> None:
    """Map the network in ``file``, print what it takes, and write the image to ``out`` if that is given."""
    image = map_to(Network.load(file), chip)
    print(image)
    if out is not None:
        image.save(out)
        print(f"image: {out}")


def run_image(file: Path, *, time: float, seed: int, threads: int | None) -> Recording:
    """Emulate ``time`` ms of the TrueNorth image in ``file``; prints what happened and the power it would take."""
    from spikesim.hardware.truenorth import ChipImage, Emulator
    from spikesim.hardware.truenorth.report import power

    if time != int(time):
        raise DescriptionError(f"run: the chip's ticks are 1 ms, got {time:g} ms")
    image = ChipImage.load(file)
    emulator = Emulator(image, seed=seed, threads=threads)
    print(image)
    recording = emulator.run(steps=int(time))
    activity = emulator.activity
    print(f"{activity.spikes:,} spikes, {activity.synaptic_events:,} synaptic events, {activity.hops:,} hops")
    for name, value in power(activity, image.cores).items():
        print(f"power by {name}: {value:.3g} mW")
    return recording
