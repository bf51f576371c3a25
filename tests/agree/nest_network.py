"""Runs a recurrent network in NEST, in a process of its own: ``python nest_network.py network.npz spikes.npz``.

network.npz holds model (name), parameters and duration as JSON in ``setup``, and the arrays i_e, v, pre, post, weight, delay.
"""

import json
import sys

import numpy as np


def main(given: str, wanted: str) -> None:
    sys.argv = sys.argv[:1]  # NEST reads the arguments too
    import nest

    network = np.load(given)
    setup = json.loads(str(network["setup"]))
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution = setup["dt"]
    nest.local_num_threads = 1
    cells = nest.Create(setup["model"], len(network["v"]), params=setup["parameters"])
    cells.set(I_e=network["i_e"].tolist(), V_m=network["v"].tolist())
    ids = np.array(cells.tolist())
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(cells, recorder)
    synapses = {"weight": network["weight"], "delay": network["delay"]}
    nest.Connect(ids[network["pre"]], ids[network["post"]], "one_to_one", synapses)
    nest.Simulate(setup["duration"])
    np.savez(wanted, steps=recorder.events["times"], ids=recorder.events["senders"] - ids[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
