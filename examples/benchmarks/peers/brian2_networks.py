"""Brian2's side of the comparisons: compiles one of spikesim's benchmark networks to a C++ program, and runs it.

    python brian2_networks.py build FOLDER cuba [--scale 1] [--threads 1] [--time 1000]
    python brian2_networks.py run FOLDER

`build` is not timed; `run` prints JSON.
"""

import json
import re
import subprocess
import time as clock
import warnings
from pathlib import Path
from typing import Any

import typer
from brian2_translation import translated
from figures import print_figures, size

from spikesim.benchmarks import BENCHMARKS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def build(folder: Path, name: str, scale: float = 1.0, threads: int = 1, time: float | None = None) -> None:
    """Compile a program that prints the number of spikes so far when it is ready, warm, and done."""
    benchmark = BENCHMARKS[name]
    duration = benchmark.duration if time is None else time
    network = benchmark.build(scale)
    b2 = standalone(folder, threads)
    program, monitors = translated(b2, network, benchmark.dt)
    program.run(benchmark.dt * b2.ms)  # completes the queues
    spikes = " + ".join(f"_array_{monitor.name}_N[0]" for monitor in monitors)
    for milliseconds in (0.0, benchmark.warm_up, duration):
        run_on = f"{program.name}.run({1e-3 * milliseconds}, NULL, 1.0); " if milliseconds else ""
        b2.device.insert_code("main", f"{run_on}std::cout << {spikes} << std::endl;")
    b2.device.build(directory=str(folder), compile=True, run=False)
    (folder / "setup.json").write_text(json.dumps({"neurons": size(network), "seconds": 1e-3 * duration}))
    print(json.dumps({"built": str(folder)}))


@app.command()
def run(folder: Path) -> None:
    """Run the program, but do not wait for the files that it would write, and print the figures as JSON."""
    setup = json.loads((folder / "setup.json").read_text())
    started = clock.perf_counter()
    with subprocess.Popen([str(folder.resolve() / "main")], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        (_, ready), (before, warm), (after, done) = ((int(process.stdout.readline()), clock.perf_counter()) for _ in range(3))
        memory = peak_memory(process.pid)
        process.kill()
    print_figures(neurons=setup["neurons"], spikes=after - before, seconds=setup["seconds"], wall=done - warm, built=ready - started,
                  memory=memory)  # fmt: skip


def peak_memory(process: int) -> int:
    """The most memory that a running process has had, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE).group(1))


def standalone(folder: Path, threads: int) -> Any:
    """Brian2, set to compile into a folder; it uses OpenMP from two threads on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2 as b2

    b2.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    return b2


if __name__ == "__main__":
    app()
