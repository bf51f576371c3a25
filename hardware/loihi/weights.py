"""How the chip's synapses store weights: bits, sign mode, exponent (Lava's rule)."""

import numpy as np

from spikesim.errors import DescriptionError

MIXED, EXCITATORY, INHIBITORY = "mixed", "excitatory", "inhibitory"
RANGES = {MIXED: (-256, 255), EXCITATORY: (0, 255), INHIBITORY: (-255, 0)}


def sign_mode(weights: np.ndarray) -> str:
    """The mode that weights call for: of one sign, or mixed."""
    if weights.min(initial=0) >= 0:
        return EXCITATORY
    return INHIBITORY if weights.max(initial=0) <= 0 else MIXED


def stored(weights: np.ndarray, *, bits: int = 8, mode: str | None = None) -> np.ndarray:
    """The whole numbers (int64) that synapses of so many bits hold for given ``weights``.

    They are cut to whole numbers, clipped to the mode's range, and lose their last 8 - bits bits, mixed ones one more, since
    one bit holds the sign: rounded down, inhibitory ones towards zero.
    """
    if not 1 <= bits <= 8:
        raise DescriptionError(f"weights: expected 1 to 8 bits, got {bits}")
    mode = sign_mode(weights) if mode is None else mode
    clipped = np.clip(np.trunc(weights).astype(np.int64), *RANGES[mode])
    lost = 8 - bits + (mode == MIXED)
    return -(-clipped >> lost << lost) if mode == INHIBITORY else clipped >> lost << lost


def bits_of(weights: np.ndarray) -> int:
    """The least number of bits (1 to 9) with which synapses hold all of ``weights`` (whole numbers) exactly, a sign included."""
    if len(weights) == 0 or not weights.any():
        return 1
    step = np.bitwise_or.reduce(np.abs(weights.astype(np.int64)))
    unused = int(step & -step).bit_length() - 1  # low bits that are 0 in all
    return max(1, 8 - unused + (sign_mode(weights) == MIXED))
