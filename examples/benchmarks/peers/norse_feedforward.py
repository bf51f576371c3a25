"""norse's side of feedforward.py: batches of samples through the same layers; prints JSON.

    python norse_feedforward.py feedforward [--batch 1] [--threads 1] [--time 10000] [--eager]

A layer first multiplies the spikes of all steps with its weights and then goes through the steps, which takes norse less time
than all layers in each step. The step is compiled, unless it shall be eager; that counts as building.
"""

import math
import time as clock
import warnings

import torch
import typer
from figures import print_figures, size

from spikesim.benchmarks import BENCHMARKS
from spikesim.models.networks.feedforward import SAMPLE
from spikesim.network import Network

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from norse.torch import LIFBoxFeedForwardState, LIFBoxParameters
    from norse.torch.functional.lif_box import lif_box_feed_forward_step


def main(name: str, batch: int = 1, threads: int = 1, time: float | None = None, eager: bool = False) -> None:
    benchmark = BENCHMARKS[name]
    rounds = math.ceil((benchmark.duration if time is None else time) / (batch * SAMPLE))
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    network = benchmark.build(1.0)
    started = clock.perf_counter()
    layers = Layers(network, benchmark.dt, batch, eager=eager)
    layers.run()
    built = clock.perf_counter() - started
    started = clock.perf_counter()
    spikes = sum(layers.run() for _ in range(rounds))
    wall = clock.perf_counter() - started
    print_figures(neurons=size(network), spikes=spikes, seconds=1e-3 * SAMPLE * batch * rounds, wall=wall, built=built)


class Layers:
    """The network in norse, for batches of samples."""

    def __init__(self, network: Network, dt: float, batch: int, *, eager: bool) -> None:
        source, *_, last = network.populations.values()
        self.shape, self.probability = (round(SAMPLE / dt), batch, len(source)), 1e-3 * dt * source.model.rate
        leak = -math.expm1(-dt / last.model.tau_m)  # a step of Euler's method with it is the exact decay
        self.weights = [torch.tensor(each.rule.weights / leak, dtype=torch.float32) for each in network.projections.values()]
        self.states = [LIFBoxFeedForwardState(v=torch.zeros(batch, weights.shape[1])) for weights in self.weights]
        numbers = {"tau_mem_inv": leak, "v_th": last.model.v_threshold, "v_reset": last.model.v_reset, "v_leak": last.model.v_rest}
        parameters = LIFBoxParameters(**{name: torch.tensor(number) for name, number in numbers.items()})

        def step(arriving: torch.Tensor, state: LIFBoxFeedForwardState) -> tuple[torch.Tensor, LIFBoxFeedForwardState]:
            return lif_box_feed_forward_step(arriving, state, parameters, 1.0)

        self.step = step if eager else torch.compile(step, dynamic=False)

    @torch.no_grad()
    def run(self) -> int:
        """One batch, which goes on where the last one ended, as in the other simulators; the number of its spikes."""
        spikes = (torch.rand(self.shape) < self.probability).float()
        count = spikes.sum()
        for layer, weights in enumerate(self.weights):
            fired = []
            for arriving in spikes @ weights:
                spike, self.states[layer] = self.step(arriving, self.states[layer])
                fired.append(spike)
            spikes = torch.stack(fired)
            count += spikes.sum()
        return int(count)


if __name__ == "__main__":
    typer.run(main)
