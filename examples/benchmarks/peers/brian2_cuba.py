"""Brian2's side of cuba.py: `build FOLDER` compiles a C++ standalone program, `run FOLDER` runs it and prints JSON."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

NEURONS, WARM_UP, MEASURED = 4000, 0.2, 1.0  # seconds


def build(folder: str) -> None:
    import brian2 as b2

    b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.defaultclock.dt = 0.1 * b2.ms
    equations = """
    dv/dt = (g_exc + g_inh - (v - (-49*mV))) / (20*ms) : volt (unless refractory)
    dg_exc/dt = -g_exc / (5*ms) : volt
    dg_inh/dt = -g_inh / (10*ms) : volt
    """
    cells = b2.NeuronGroup(NEURONS, equations, threshold="v > -50*mV", reset="v = -60*mV", refractory=5 * b2.ms, method="exact")
    cells.v = "-60*mV + rand() * 10*mV"
    exc = b2.Synapses(cells[: NEURONS * 4 // 5], cells, on_pre="g_exc += 1.62*mV")
    inh = b2.Synapses(cells[NEURONS * 4 // 5 :], cells, on_pre="g_inh -= 9*mV")
    for synapses in (exc, inh):
        synapses.connect(p=0.02)
    spikes = b2.SpikeMonitor(cells)
    network = b2.Network(cells, exc, inh, spikes)
    network.run(WARM_UP * b2.second)
    network.run(MEASURED * b2.second)
    b2.device.build(directory=folder, compile=True, run=False)
    print(json.dumps({"built": folder}))


def run(folder: str) -> None:
    subprocess.run([str(Path(folder) / "main")], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    results = Path(folder) / "results"
    wall = float((results / "last_run_info.txt").read_text().split()[0])
    times = np.fromfile(next(results.glob("_dynamic_array_spikemonitor_t*")))
    print(json.dumps({"wall_per_model_time": wall / MEASURED, "rate_hz": int((times >= WARM_UP).sum()) / NEURONS / MEASURED}))


if __name__ == "__main__":
    {"build": build, "run": run}[sys.argv[1]](sys.argv[2])
