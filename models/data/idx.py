"""Arrays in the IDX format (LeCun, Cortes & Burges 1998, the MNIST database), gzipped.

Two zero bytes, the kind of numbers (8: unsigned bytes), the number of dimensions, each dimension as a big-endian uint32,
then the numbers. The files are not trusted: sizes are checked before memory is taken for them.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from spikesim.errors import FileFormatError

UNSIGNED_BYTES = 8
MOST_PER_BYTE = 1032  # that deflate can make of one byte


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """The array of uint8 with so many dimensions that the file holds."""
    try:
        with gzip.open(path, "rb") as file:
            shape = _shape(path, file, dimensions)
            wanted = math.prod(shape)
            if not 0 < wanted <= MOST_PER_BYTE * path.stat().st_size:
                raise FileFormatError(
                    f"{path}: its header says {shape}, which a file of {path.stat().st_size:,} bytes cannot hold; fetch it again"
                )
            content = file.read(wanted + 1)  # one more byte tells a file that holds more than it says
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FileFormatError(f"{path}: not a whole gzip file ({error}); fetch it again") from None
    if len(content) != wanted:
        found = "more" if len(content) > wanted else f"{len(content):,}"
        raise FileFormatError(f"{path}: its header says {shape}, {wanted:,} bytes, but {found} follow; fetch it again")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _shape(path: Path, file: gzip.GzipFile, dimensions: int) -> tuple[int, ...]:
    header = file.read(4 + 4 * dimensions)
    magic = bytes([0, 0, UNSIGNED_BYTES, dimensions])
    if header[:4] != magic:
        raise FileFormatError(f"{path}: expected an IDX file of unsigned bytes with {dimensions} dimensions, which begins "
                              f"with {magic.hex()}, found {header[:4].hex() or 'nothing'}")  # fmt: skip
    if len(header) < 4 + 4 * dimensions:
        raise FileFormatError(f"{path}: ends within its header; fetch it again")
    return tuple(int(size) for size in np.frombuffer(header, dtype=">u4", offset=4))
