"""Processes that Lava lacks, in its terms: refractory and softly reset neurons, and recorders that write files."""

from functools import cache
from typing import Any

import numpy as np


@cache
def holding() -> Any:
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

    Holding.own_model = HoldingModel
    return Holding


@cache
def tape(of_port: bool) -> Any:
    """A process that writes a port's or a variable's values into a file, a row for each step."""
    from lava.magma.core.decorator import implements, requires  # type: ignore[import-not-found]
    from lava.magma.core.model.py.model import PyLoihiProcessModel  # type: ignore[import-not-found]
    from lava.magma.core.model.py.ports import PyInPort, PyRefPort  # type: ignore[import-not-found]
    from lava.magma.core.model.py.type import LavaPyType  # type: ignore[import-not-found]
    from lava.magma.core.process.ports.ports import InPort, RefPort  # type: ignore[import-not-found]
    from lava.magma.core.process.process import AbstractProcess  # type: ignore[import-not-found]
    from lava.magma.core.resources import CPU  # type: ignore[import-not-found]
    from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # type: ignore[import-not-found]

    class Tape(AbstractProcess):
        def __init__(self, what: Any, members: np.ndarray, path: str) -> None:
            super().__init__(members=members, path=path)
            self.port = InPort(what.shape) if of_port else RefPort(what.shape)
            what.connect(self.port) if of_port else self.port.connect_var(what)

    @implements(proc=Tape, protocol=LoihiProtocol)
    @requires(CPU)
    class TapeModel(PyLoihiProcessModel):
        port: Any = LavaPyType(PyInPort.VEC_DENSE if of_port else PyRefPort.VEC_DENSE, float)

        def __init__(self, proc_params: Any) -> None:
            super().__init__(proc_params)
            self.rows, self.members = np.load(proc_params["path"], mmap_mode="r+"), proc_params["members"]

        def run_spk(self) -> None:
            if of_port:
                self.rows[self.time_step - 1] = self.port.recv()[self.members]

        def post_guard(self) -> bool:
            return not of_port

        def run_post_mgmt(self) -> None:
            self.rows[self.time_step - 1] = self.port.read()[self.members]

    Tape.own_model = TapeModel
    return Tape
