"""Link traffic against packets that are walked hop by hop."""

import numpy as np

from spikesim.hardware.truenorth import Emulator
from spikesim.hardware.truenorth.recurrent import recurrent_image
from spikesim.hardware.truenorth.traffic import link_traffic
from tests.hardware.truenorth_networks import random_image


def walked(image, packets):
    """Each packet step by step: first x, then y."""
    width, height = image.chips[0] * 64, image.chips[1] * 64
    links = {name: np.zeros((width, height), np.int64) for name in ("east", "west", "south", "north")}
    for core, neuron in np.argwhere(image.destinations[:, :, 3] > 0):
        x, y = image.positions[core].tolist()
        dx, dy = image.destinations[core, neuron, :2].tolist()
        steps = [("east" if dx > 0 else "west", np.sign(dx), 0)] * abs(dx) + [("south" if dy > 0 else "north", 0, np.sign(dy))] * abs(dy)
        for name, right, down in steps:
            if 0 <= x < width and 0 <= y < height:
                links[name][x, y] += packets[core, neuron]
            x, y = x + right, y + down
    return links


def test_packets_go_along_x_then_y():
    rng = np.random.default_rng(3)
    image = random_image(rng, cores=6)
    packets = rng.integers(0, 5, (6, 256))
    expected, found = walked(image, packets), link_traffic(image, packets)
    for name in ("east", "west"):
        assert np.array_equal(found[name], expected[name]), name
    inside = image.destinations[:, :, 0] != 200
    expected, found = walked(image, packets * inside), link_traffic(image, packets * inside)
    for name in expected:
        assert np.array_equal(found[name], expected[name]), name
    assert sum(values.sum() for values in found.values()) > 100


def test_links_sum_up_to_hops():
    """One spike of each neuron takes as many hops as the links carry packets."""
    image = recurrent_image(64)
    way = np.abs(image.destinations[:, :, :2].astype(np.int64)).sum()
    assert sum(values.sum() for values in link_traffic(image).values()) == way
    emulator = Emulator(image, watch_all=True)
    spikes = emulator.run(steps=60).spikes["neurons"].ids
    packets = np.bincount(spikes, minlength=64 * 256).reshape(64, 256)
    assert sum(values.sum() for values in link_traffic(image, packets).values()) == emulator.activity.hops > 0
