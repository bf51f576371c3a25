"""Intel's Lava, in a process of its own: the only file that knows it, beside `spikesim.hardware.loihi.lava_processes`.

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
from spikesim.hardware.loihi.lava_processes import holding, tape
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
            "inputs": list(network.inputs), "copies": network.copies,
            "traced": [np.arange(each.size) for each in network.cells] if network.traced is None else list(network.traced)}  # fmt: skip


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
    from lava.magma.core.run_configs import Loihi2SimCfg  # type: ignore[import-not-found]

    cells = [_cells(each) for each in network["cells"]]
    inputs = [_input(array) for array in network["inputs"]]
    links = [_connect(link, [*cells, *inputs], network["copies"]) for link in network["links"]]
    for link in _ties(network):
        _connect(link, cells, 1)
    learning = [(process, link) for process, link in zip(links, network["links"], strict=True) if link["kind"] == LEARNING]
    with TemporaryDirectory(prefix="spikesim-lava-tape-") as folder:
        tapes, tracks = _tapes(cells, network["traced"] if traces else [], steps, np.float64 if floating else np.int32, folder)
        own = {process: process.own_model for process in [*cells, *links, *tapes] if hasattr(process, "own_model")}
        config = Loihi2SimCfg(select_tag="floating_pt" if floating else "fixed_pt", exception_proc_model_map=own)
        weights, seconds = _advance(cells[0], steps, config, learning, every)
        found = {name: [np.array(track) for track in own] for name, own in tracks.items()}
    return {"spikes": found["s_out"], **{name: found[name] if traces else None for name in "uv"}, "weights": weights, "seconds": seconds}


def _advance(process: Any, steps: int, config: Any, learning: list, every: int) -> tuple[list[np.ndarray], float]:
    """Run in batches of steps and stop.

    Returns the weights of what learns after each ``every`` steps, and the seconds of all but the first step, with which Lava builds and
    starts.
    """
    from lava.magma.core.run_conditions import RunSteps  # type: ignore[import-not-found]

    weights: list[list[np.ndarray]] = [[] for _ in learning]
    done, chunk, seconds = 0, 1, 0.0
    try:
        while done < steps:
            chunk = min(chunk, steps - done, every - done % every)
            started = time.perf_counter()
            process.run(condition=RunSteps(num_steps=chunk), run_cfg=config, compile_config={"pypy_channel_size": CHANNEL})
            last = time.perf_counter() - started
            seconds, done = seconds + (last if done else 0.0), done + chunk
            print(done, flush=True)
            if done % every == 0:
                for samples, (process, link) in zip(weights, learning, strict=True):
                    samples.append(process.weights.get()[link["targets"], link["sources"]].astype(np.int64))
            chunk = max(1, min(4 * chunk, int(chunk * CHUNK_SECONDS / max(last, 1e-3))))
    finally:
        process.stop()
    return [np.stack(samples) for samples in weights], seconds


def _tapes(cells: list[Any], traced: list[np.ndarray], steps: int, dtype: Any, folder: str) -> tuple[list, dict[str, list]]:
    """Processes that record s_out of all cells, and u and v of those traced, and the arrays (steps, size), in files, that they write.

    Lava's own recorders keep what they record in themselves, and to get it from there takes a message for each number.
    """
    tapes: list[Any] = []
    tracks: dict[str, list] = {"s_out": [], "u": [], "v": []}
    for at, process in enumerate(cells):
        wanted = [("s_out", np.arange(process.s_out.shape[0]))] + [(name, traced[at]) for name in "uv" if traced]
        for name, members in wanted:
            path = Path(folder) / f"{name}{at}.npy"
            tracks[name].append(np.lib.format.open_memmap(path, "w+", dtype, (steps, len(members))))
            if len(members):
                tapes.append(tape(name == "s_out")(getattr(process, name), members, str(path)))
    return tapes, tracks


def _ties(network: dict[str, Any]) -> list[dict[str, Any]]:
    """Connections without synapses that make the graph one piece, for Lava runs only the piece it is started in."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    cells, nodes = len(network["cells"]), len(network["cells"]) + len(network["inputs"])
    ends = np.array([(link["source"], link["target"]) for link in network["links"]], np.int64).reshape(-1, 2)
    piece = connected_components(csr_matrix((np.ones(len(ends)), ends.T), shape=(nodes, nodes)), directed=False)[1][:cells]
    firsts = [int(np.argmax(piece == each)) for each in np.unique(piece) if each != piece[0]]
    return [vars(LavaLinks(first, 0, np.empty(0, np.int64))) for first in firsts]


def _flat(port: Any) -> Any:
    return port if len(port.shape) == 1 else port.reshape((int(np.prod(port.shape)),))


def _input(array: np.ndarray) -> Any:
    from lava.proc.io.source import RingBuffer  # type: ignore[import-not-found]

    return RingBuffer(data=array)


def _cells(given: dict[str, Any]) -> Any:
    """The Lava process of some cells."""
    from lava.proc.lif import process  # type: ignore[import-not-found]

    if given["kind"] == HOLDING:
        return holding()(given["size"], given["parameters"])
    kinds = {LIF: process.LIF, RESET: process.LIFReset, TERNARY: process.TernaryLIF}
    names = {"interval": "reset_interval", "offset": "reset_offset"}
    parameters = {names.get(name, name): value for name, value in given["parameters"].items()}
    return kinds[given["kind"]](shape=(given["size"],), **parameters)


def _connect(link: dict[str, Any], nodes: list[Any], copies: int) -> Any:
    """Put a connection process between two nodes, each of which holds so many copies of what the link connects; return it."""
    from scipy.sparse import csr_matrix, eye, kron

    source, target = nodes[link["source"]], nodes[link["target"]]
    if link["kind"] == CONV:
        process = _conv(link)
        source.s_out.reshape(process.s_in.shape).connect(process.s_in)
        _flat(process.a_out).connect(target.a_in)
        return process
    shape = (int(np.prod(target.a_in.shape)) // copies, int(np.prod(source.s_out.shape)) // copies)
    place = (link["targets"], link["sources"])
    if link["kind"] == LEARNING:
        process = _learning(link, place, shape)
        source.s_out.connect(process.s_in)
        process.a_out.connect(target.a_in)
        target.s_out.connect(process.s_in_bap)
        return process

    def matrix(values: np.ndarray) -> Any:
        return kron(eye(copies, dtype=np.int32), csr_matrix((values.astype(np.int32), place), shape=shape), "csr")

    weights: Any = matrix(link["weights"])
    delays: Any = None if link["delays"] is None else matrix(link["delays"] + 1).astype(int)
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
    process.own_model = _masked_model()
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
