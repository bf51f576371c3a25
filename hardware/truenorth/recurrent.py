"""A recurrent network that fills chips, by which their speed and power are measured.

Every neuron sends to one axon drawn at random from all cores, with a random delay; each axon leads to half of the neurons of its
core. After the networks of Merolla et al. (2014), Science 345:668, with a leak in place of their stochastic drive.
"""

import numpy as np

from spikesim.hardware.truenorth.image import ChipImage
from spikesim.hardware.truenorth.limits import CHIP_WIDTH


def recurrent_image(cores: int = 4096, *, seed: int = 0, alike: bool = True, watched: int = 0) -> ChipImage:
    """Neurons that a leak of 1 drives to a threshold of 50; excitation and inhibition balance.

    About 20 Hz. alike: the neurons of all cores have the same parameters; otherwise their thresholds differ. watched: so many
    neurons of the first cores, one of each, leave the chip instead, as output "watched".
    """
    rng = np.random.default_rng(seed)
    shape = (cores, 256)
    positions = np.stack([np.arange(cores) % CHIP_WIDTH, np.arange(cores) // CHIP_WIDTH], axis=1)
    goal = rng.permutation(cores * 256)  # each axon has one source
    offset = positions[goal // 256] - np.repeat(positions, 256, axis=0)
    weights = np.empty((cores, 4, 256), np.int16)
    weights[:] = np.array([1, -1, 2, -2])[:, None]
    threshold = np.full(shape, 50) if alike else rng.integers(48, 53, shape)
    arrays = {
        "positions": positions.astype(np.int16), "crossbar": rng.integers(0, 2**64, (*shape, 4), dtype=np.uint64), "weights": weights,
        "axon_types": rng.integers(0, 4, shape).astype(np.uint8), "leak": np.ones(shape, np.int16), "threshold": threshold.astype(np.int32),
        "floor": np.full(shape, 10, np.int32), "reset": np.zeros(shape, np.int32), "mask": np.zeros(shape, np.uint16),
        "modes": np.zeros(shape, np.uint16), "potential": rng.integers(0, 50, shape).astype(np.int32),
        "destinations": np.column_stack([offset, goal % 256, rng.integers(1, 16, len(goal))]).astype(np.int16).reshape(*shape, 4),
    }  # fmt: skip
    arrays["destinations"][:watched, 0, :2] = np.stack([-positions[:watched, 0] - 1, np.zeros(watched)], axis=1)
    outputs = np.stack([np.arange(watched), np.arange(watched), np.zeros(watched, np.int64)], axis=1).astype(np.int64)
    return ChipImage(arrays, {}, {"watched": outputs} if watched else {})
