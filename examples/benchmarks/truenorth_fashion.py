"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) on TrueNorth: a ternary net after Esser et al. (2016), PNAS 113:11441-11446.

Trains, maps, and classifies the 10,000 test images in torch, on the engine and on the emulated chip, one image a tick; prints
accuracy, cores, ticks and whether all votes agree. Needs the four files in --data (Debian: package dataset-fashion-mnist).

    python examples/benchmarks/truenorth_fashion.py --weights fashion.pt
"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import Emulator
from spikesim.hardware.truenorth.report import power
from spikesim.models.truenorth import TernaryNet, fashion_ternary, ternary_network, train_ternary, votes_of

STAGES = ((12, 0.005), (4, 0.0015), (3, 0.0004))


def read(folder: Path, name: str) -> np.ndarray:
    """The array in an IDX file of bytes, gzipped."""
    raw = gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def trained(folder: Path, weights: Path | None) -> TernaryNet:
    """The net as saved in ``weights``, or trained and saved there."""
    net = fashion_ternary()
    if weights is not None and weights.exists():
        net.load_state_dict(torch.load(weights, weights_only=True))
        return net.eval()
    images = read(folder, "train-images-idx3")[:, None].astype(np.float32) / 255.0
    net = train_ternary(net, images, read(folder, "train-labels-idx1").astype(np.int64), stages=STAGES, batch=128)
    if weights is not None:
        torch.save(net.state_dict(), weights)
    return net


def main() -> None:
    """Train or load, map, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    net = trained(options.data, options.weights)
    images = read(options.data, "t10k-images-idx3")[:, None].astype(np.float32) / 255.0
    labels = read(options.data, "t10k-labels-idx1")
    with torch.no_grad():
        in_torch = np.concatenate([net.votes(part).numpy() for part in torch.as_tensor(images).split(1000)]).astype(np.int64)
    network, steps = ternary_network(net, images), len(images) + len(net.layers) - 1
    started = time.perf_counter()
    image = map_to(network, "truenorth")
    print(f"{image}\nmapped in {time.perf_counter() - started:.1f} s")
    emulator = Emulator(image)
    started = time.perf_counter()
    on_chip = votes_of(net, emulator.run(steps=steps), len(images))
    print(f"emulated {steps} ticks in {time.perf_counter() - started:.1f} s")
    on_engine = votes_of(net, sim.Simulation(network, dt=1.0).run(float(steps)), len(images))
    print(f"right: {100 * (on_chip.argmax(axis=1) == labels).mean():.2f} %, {len(net.layers)} ticks an image")
    print(f"the same votes as in torch: {np.array_equal(on_chip, in_torch)}, as on the engine: {np.array_equal(on_chip, on_engine)}")
    print(f"{power(emulator.activity, image.cores)['components']:.1f} mW at 1,000 images a second")


if __name__ == "__main__":
    main()
