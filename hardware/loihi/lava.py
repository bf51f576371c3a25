"""Intel's Lava, in a process of its own: the only file that knows it.

Lava forks, hangs without ``stop()`` and can crash its interpreter. So networks go to a worker, ``python -m
spikesim.hardware.loihi.lava IN OUT``, whose group of processes is ended whatever happens. The worker tells of each batch of
steps on its standard output (the heartbeat) and ends itself when its standard input closes, as it does when we die.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spikesim.errors import BackendError
from spikesim.hardware.loihi.lava_network import CONV, DENSE, HOLDING, LEARNING, LIF, RESET, TERNARY, LavaLinks, LavaNetwork, LavaResult
from spikesim.storage import load, save

INSTALL = (
    "pip install --no-deps --ignore-requires-python lava-nc==0.10.0",
    "pip install networkx asteval scikit-learn",
)
CHUNK_SECONDS = 1.0  # how long Lava is let run between two heartbeats
GRACE = 5.0  # seconds to end by itself before it is killed
CHANNEL = 2  # messages a channel holds; Lava's 64 fill the shared memory of a container


def run_lava(networks: Sequence[LavaNetwork], steps: int, *, traces: bool = True, floating: bool = False, weights_every: int | None = None,
             deadline: float = 600.0, silence: float = 60.0) -> list[LavaResult]:  # fmt: skip
    """Run each network for ``steps`` steps, one after the other, in one worker.

    traces: also return u and v. floating: Lava's floating-point models. weights_every: after how many steps weights that learn are
    read, by default after the last. deadline: seconds for all; silence: seconds without a sign
    of life. Raises `BackendError` if Lava is missing, fails, or passes a limit; nothing is left running.
    """
    if find_spec("lava") is None:
        raise BackendError("Lava is not installed; get it with\n  " + "\n  ".join(INSTALL))
    with TemporaryDirectory(prefix="spikesim-lava-") as folder:
        given, made = Path(folder) / "in.h5", Path(folder) / "out.h5"
        save(given, "lava", {"networks": [_plain(each) for each in networks], "steps": steps, "traces": traces, "floating": floating,
                             "weights_every": weights_every or steps})  # fmt: skip
        _supervise([sys.executable, "-m", __name__, str(given), str(made)], deadline, silence)
        return [LavaResult(**each) for each in load(made, "lava")]


def _plain(network: LavaNetwork) -> dict[str, Any]:
    return {"cells": [vars(each) for each in network.cells], "links": [vars(each) for each in network.links],
            "inputs": list(network.inputs)}  # fmt: skip


def _supervise(command: list[str], deadline: float, silence: float) -> None:
    """Run the worker to its end; its whole group of processes is gone afterwards, also after an error or Ctrl-C."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [_root(), os.environ.get("PYTHONPATH", "")]))}
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
                              env=environment, start_new_session=True)  # fmt: skip
    beats, errors = [time.monotonic()], []
    readers = [threading.Thread(target=lambda: beats.extend(time.monotonic() for _ in worker.stdout or ()), daemon=True),
               threading.Thread(target=lambda: errors.extend(worker.stderr or ()), daemon=True)]  # fmt: skip
    for reader in readers:
        reader.start()
    try:
        trouble = _wait(worker, beats, deadline, silence)
    finally:
        _end(worker)
        for reader in readers:
            reader.join(GRACE)
        for stream in (worker.stdin, worker.stdout, worker.stderr):
            if stream is not None:
                stream.close()
    if trouble is None and worker.returncode:
        trouble = f"its worker ended with code {worker.returncode}"
    if trouble:
        raise BackendError(f"Lava: {trouble}\n{''.join(errors[-12:])}".rstrip())


def _wait(worker: subprocess.Popen, beats: list[float], deadline: float, silence: float) -> str | None:
    """Wait for the worker to end by itself; else what is wrong."""
    start = time.monotonic()
    while worker.poll() is None:
        now = time.monotonic()
        if now - start > deadline:
            return f"not done after {deadline:g} s, the deadline; allow more with deadline="
        if now - beats[-1] > silence:
            return f"no sign of life for {silence:g} s, so it was ended; allow more with silence="
        time.sleep(0.02)
    return None


def _end(worker: subprocess.Popen) -> None:
    """End all processes of the worker's group: asked first, so that their shared memory is freed, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(worker.pid, number)
        except ProcessLookupError:
            break
        until = time.monotonic() + GRACE
        while time.monotonic() < until and _group_lives(worker):
            time.sleep(0.02)
    worker.wait()


def _group_lives(worker: subprocess.Popen) -> bool:
    worker.poll()  # else the worker itself stays as a zombie
    try:
        os.killpg(worker.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _root() -> str:
    return str(Path(sys.modules["spikesim"].__file__ or ".").parents[1])


def _main(given: str, made: str) -> None:
    """What the worker does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    task = load(given, "lava")
    _import_lava()
    results = [_run(network, task["steps"], task["traces"], task["floating"], task["weights_every"]) for network in task["networks"]]
    save(made, "lava", results)
    sys.stdout.flush()
    os._exit(0)  # Lava's threads may outlive stop()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)


def _import_lava() -> None:
    """Load Lava; from Python 3.11 on one of its modules needs dataclasses whose default values are hashable."""
    import dataclasses

    original = dataclasses.dataclass

    def hashable(*args: Any, **options: Any) -> Any:
        return original(*args, **options) if args else original(**{"unsafe_hash": True} | options)

    def hashed(cls: Any = None, /, **options: Any) -> Any:
        return original(cls, unsafe_hash=True) if cls is not None else hashable(**options)

    dataclasses.dataclass = hashed  # type: ignore[assignment]
    try:
        import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original


def _run(network: dict[str, Any], steps: int, traces: bool, floating: bool, every: int) -> dict[str, Any]:
    """Build a graph of processes, run it in batches of steps, stop it."""
    from lava.magma.core.run_conditions import RunSteps  # type: ignore[import-not-found]
    from lava.magma.core.run_configs import Loihi2SimCfg  # type: ignore[import-not-found]
    from lava.proc.io.sink import RingBuffer as Sink  # type: ignore[import-not-found]
    from lava.proc.monitor.process import Monitor  # type: ignore[import-not-found]

    cells = [_cells(each) for each in network["cells"]]
    inputs = [_input(array) for array in network["inputs"]]
    links = [_connect(link, [*cells, *inputs], network) for link in network["links"]]
    for link in _ties(network):
        _connect(link, cells, network)
    learning = [(process, link) for process, link in zip(links, network["links"], strict=True) if link["kind"] == LEARNING]
    weights: list[list[np.ndarray]] = [[] for _ in learning]
    sinks = [Sink(shape=(each["size"],), buffer=steps) for each in network["cells"]]
    for process, sink in zip(cells, sinks, strict=True):
        process.s_out.connect(sink.a_in)
    monitors = {name: [Monitor() for _ in cells] if traces else [] for name in "uv"}
    for name, own in monitors.items():
        for process, monitor in zip(cells, own, strict=False):
            monitor.probe(getattr(process, name), steps)
    own = {process: process.fixed_model for process in [*cells, *links] if hasattr(process, "fixed_model")}
    config = Loihi2SimCfg(select_tag="floating_pt" if floating else "fixed_pt", exception_proc_model_map=own)
    done, chunk, seconds = 0, 1, 0.0
    try:
        while done < steps:
            chunk = min(chunk, steps - done, every - done % every)
            started = time.perf_counter()
            cells[0].run(condition=RunSteps(num_steps=chunk), run_cfg=config, compile_config={"pypy_channel_size": CHANNEL})
            last = time.perf_counter() - started
            seconds, done = seconds + last, done + chunk
            print(done, flush=True)
            if done % every == 0:
                for samples, (process, link) in zip(weights, learning, strict=True):
                    samples.append(_whole(process.weights.get()[link["targets"], link["sources"]], floating))
            chunk = max(1, min(4 * chunk, int(chunk * CHUNK_SECONDS / max(last, 1e-3))))
        spikes = [_whole(sink.data.get().T, floating) for sink in sinks]
        found = {name: [_whole(_samples(m), floating) for m in own] if traces else None for name, own in monitors.items()}
    finally:
        cells[0].stop()
    return {"spikes": spikes, **found, "weights": [np.stack(samples) for samples in weights], "seconds": seconds}


def _ties(network: dict[str, Any]) -> list[dict[str, Any]]:
    """Connections without synapses that make the graph one piece, for Lava runs only the piece it is started in."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    cells, nodes = len(network["cells"]), len(network["cells"]) + len(network["inputs"])
    ends = np.array([(link["source"], link["target"]) for link in network["links"]], np.int64).reshape(-1, 2)
    piece = connected_components(csr_matrix((np.ones(len(ends)), ends.T), shape=(nodes, nodes)), directed=False)[1][:cells]
    firsts = [int(np.argmax(piece == each)) for each in np.unique(piece) if each != piece[0]]
    return [vars(LavaLinks(first, 0, np.empty(0, np.int64))) for first in firsts]


def _samples(monitor: Any) -> np.ndarray:
    (variables,) = monitor.get_data().values()
    (array,) = variables.values()
    return array.reshape(len(array), -1)


def _whole(array: np.ndarray, floating: bool) -> np.ndarray:
    return np.ascontiguousarray(array, np.float64 if floating else np.int64)


def _flat(port: Any) -> Any:
    return port if len(port.shape) == 1 else port.reshape((int(np.prod(port.shape)),))


def _input(array: np.ndarray) -> Any:
    from lava.proc.io.source import RingBuffer  # type: ignore[import-not-found]

    return RingBuffer(data=array)


def _cells(given: dict[str, Any]) -> Any:
    """The Lava process of some cells."""
    from lava.proc.lif import process  # type: ignore[import-not-found]

    if given["kind"] == HOLDING:
        return _own_process()(given["size"], given["parameters"])
    kinds = {LIF: process.LIF, RESET: process.LIFReset, TERNARY: process.TernaryLIF}
    names = {"interval": "reset_interval", "offset": "reset_offset"}
    parameters = {names.get(name, name): value for name, value in given["parameters"].items()}
    return kinds[given["kind"]](shape=(given["size"],), **parameters)


@cache
def _own_process() -> Any:
    """A neuron whose fixed-point model Lava lacks, on Lava's arithmetic: refractory, with zero or soft reset."""
    from lava.magma.core.decorator import implements, requires, tag  # type: ignore[import-not-found]
    from lava.magma.core.model.py.ports import PyOutPort  # type: ignore[import-not-found]
    from lava.magma.core.model.py.type import LavaPyType  # type: ignore[import-not-found]
    from lava.magma.core.process.variable import Var  # type: ignore[import-not-found]
    from lava.magma.core.resources import CPU  # type: ignore[import-not-found]
    from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # type: ignore[import-not-found]
    from lava.proc.lif.models import AbstractPyLifModelFixed  # type: ignore[import-not-found]
    from lava.proc.lif.process import AbstractLIF  # type: ignore[import-not-found]

    class Holding(AbstractLIF):
        def __init__(self, size: int, parameters: dict[str, Any]) -> None:
            rest = {name: value for name, value in parameters.items() if name != "vth"}
            super().__init__(shape=(size,), name=None, log_config=None, **rest)
            self.vth = Var(shape=(1,), init=parameters["vth"])

    @implements(proc=Holding, protocol=LoihiProtocol)
    @requires(CPU)
    @tag("fixed_pt")
    class HoldingModel(AbstractPyLifModelFixed):
        s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
        vth: int = LavaPyType(int, np.int32, precision=17)

        def __init__(self, proc_params: Any) -> None:
            super().__init__(proc_params)
            self.period, self.soft = proc_params["period"], proc_params["soft"]
            self.end = np.zeros(len(self.period), int)

        def scale_threshold(self) -> None:
            self.effective_vth, self.isthrscaled = np.left_shift(self.vth, self.vth_shift), True

        def spiking_activation(self) -> np.ndarray:
            return self.v > self.effective_vth

        def subthr_dynamics(self, activation_in: np.ndarray) -> None:
            before = self.v.copy()
            super().subthr_dynamics(activation_in)
            self.v[self.end >= self.time_step] = before[self.end >= self.time_step]

        def reset_voltage(self, spike_vector: np.ndarray) -> None:
            self.end[spike_vector] = self.time_step + self.period[spike_vector]
            kept = np.where(self.soft, self.v - self.effective_vth, 0)
            self.v[:] = np.where(spike_vector, kept, self.v)

    Holding.fixed_model = HoldingModel
    return Holding


def _connect(link: dict[str, Any], nodes: list[Any], network: dict[str, Any]) -> Any:
    """Put a connection process between two nodes, and return it."""
    from scipy.sparse import csr_matrix

    source, target = nodes[link["source"]], nodes[link["target"]]
    if link["kind"] == CONV:
        process = _conv(link)
        source.s_out.reshape(process.s_in.shape).connect(process.s_in)
        _flat(process.a_out).connect(target.a_in)
        return process
    shape = (int(np.prod(target.a_in.shape)), int(np.prod(source.s_out.shape)))
    place = (link["targets"], link["sources"])
    if link["kind"] == LEARNING:
        process = _learning(link, place, shape)
        source.s_out.connect(process.s_in)
        process.a_out.connect(target.a_in)
        target.s_out.connect(process.s_in_bap)
        return process
    weights: Any = csr_matrix((link["weights"], place), shape=shape)
    delays: Any = None if link["delays"] is None else csr_matrix((link["delays"] + 1, place), shape=shape)
    dense = link["kind"] == DENSE
    module = import_module(f"lava.proc.{'dense' if dense else 'sparse'}.process")
    options = _link_options(link)
    if delays is not None:
        delays.data -= 1  # added before so that zeros are kept
        options["delays"] = delays.toarray() if dense else delays
        options["max_delay"] = int(delays.data.max(initial=0))
    kind = f"{'' if delays is None else 'Delay'}{'Dense' if dense else 'Sparse'}"
    process = getattr(module, kind)(weights=weights.toarray() if dense else weights, **options)
    source.s_out.connect(process.s_in)
    process.a_out.connect(target.a_in)
    return process


def _learning(link: dict[str, Any], place: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> Any:
    """LearningDense with a mask, for not all pairs need be connected."""
    from lava.magma.core.learning.learning_rule import Loihi2FLearningRule  # type: ignore[import-not-found]
    from lava.proc.dense.process import LearningDense  # type: ignore[import-not-found]

    weights, mask = np.zeros(shape, np.int64), np.zeros(shape, bool)
    weights[place], mask[place] = link["weights"], True
    made = {"weights": weights, "learning_rule": Loihi2FLearningRule(**link["rule"]), **_link_options(link)}
    process = LearningDense(mask=mask, **made)
    process.fixed_model = _masked_model()
    return process


@cache
def _masked_model() -> Any:
    """Lava's model of LearningDense, for pairs of which some have no synapse: LearningSparse drops those that start with weight 0."""
    from lava.proc.dense.models import PyLearningDenseModelBitApproximate  # type: ignore[import-not-found]

    class Masked(PyLearningDenseModelBitApproximate):
        def run_lrn(self) -> None:
            super().run_lrn()
            self.weights = np.where(self.proc_params["mask"], self.weights, 0)

    return Masked


def _link_options(link: dict[str, Any]) -> dict[str, Any]:
    from lava.utils.weightutils import SignMode  # type: ignore[import-not-found]

    made = {"weight_exp": link["exponent"], "num_weight_bits": link["bits"], "num_message_bits": link["message_bits"]}
    return made if link["mode"] is None else made | {"sign_mode": SignMode[link["mode"].upper()]}


def _conv(link: dict[str, Any]) -> Any:
    from lava.proc.conv.process import Conv  # type: ignore[import-not-found]

    return Conv(weight=link["weights"], input_shape=tuple(link["geometry"]["input_shape"]),
                **{name: link["geometry"][name] for name in ("stride", "padding", "dilation", "groups")})  # fmt: skip


if __name__ == "__main__":
    _main(*sys.argv[1:])
