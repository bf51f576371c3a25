"""How long a user waits: import, and the README's network from a new process to its first spikes, cold and warm.

    python examples/benchmarks/first_spike.py [--rounds 3]

Cold means that no kernel has been compiled yet on this machine (both caches are empty folders).
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import typer

IMPORT = "import time; t = time.perf_counter(); import spikesim; print(time.perf_counter() - t)"
FIRST_SPIKES = """
import time; t = time.perf_counter()
import spikesim as sim
from spikesim.models.networks.vogels_abbott import cuba
recording = sim.Simulation(cuba(), dt=0.1, seed=42).run(10.0)
assert len(recording.spikes["exc"])
print(time.perf_counter() - t)
"""


def seconds(code: str, folder: str) -> tuple[float, float]:
    """What the code prints, and the time of the whole process."""
    environment = os.environ | {"SPIKESIM_CACHE": f"{folder}/spikesim", "NUMBA_CACHE_DIR": f"{folder}/numba"}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout), time.perf_counter() - started


def main(rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = {"to the first spikes, cold": [seconds(FIRST_SPIKES, folder)]}
        rows["to the first spikes, warm"] = [seconds(FIRST_SPIKES, folder) for _ in range(rounds)]
        rows["import spikesim"] = [seconds(IMPORT, folder) for _ in range(rounds)]
    for name, found in rows.items():
        inside, whole = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<28}{inside:6.2f} s   whole process {whole:6.2f} s   ({len(found)} runs)")


if __name__ == "__main__":
    typer.run(main)
