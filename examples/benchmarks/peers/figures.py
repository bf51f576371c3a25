"""What every peer prints: the figures that `spikesim bench --json` gives, by the same names."""

import json
import resource

from spikesim.network import Network


def print_figures(*, neurons: int, spikes: int, seconds: float, wall: float, built: float, memory: int | None = None) -> None:
    """One line of JSON. seconds: of model time, in which there were so many spikes; memory: this process's if None."""
    if memory is None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall_per_model_time": wall / seconds, "rate_hz": spikes / (neurons * seconds), "build_time_s": built,
                      "peak_memory_bytes": memory}))  # fmt: skip


def size(network: Network) -> int:
    """The number of neurons, sources among them."""
    return sum(map(len, network.populations.values()))
