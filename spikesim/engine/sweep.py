"""The sweep: one vectorised loop over the neurons of a population, made from the scalar steps of its model.

The loop's source text is put together from the source of the membrane's and the receptors' scalar steps, written
to the kernel cache as a module of its own, and compiled by numba, which keeps the machine code beside it. A model
that was compiled once starts in milliseconds.
"""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

import numba
import numpy as np

from spikesim.engine.plan import SWEPT
from spikesim.errors import CacheError, KindError
from spikesim.program import Cells, Port
from spikesim.synapses import CONDUCTANCE

HEAD = '''"""The sweep of a population, made by spikesim.engine.sweep; it may be deleted at any time."""

import math

import numpy as np
from numba import carray, cfunc, njit, types

from spikesim.engine.native import pointer
'''

RELAXED = '{"nnan", "nsz"}'  # a zero may lose its sign, so that adding nothing costs nothing; no rounding changes
STRICT = "False"  # for graded models, whose functions may give no number, which they must notice
ONE_AT_A_TIME = threading.Lock()  # Python 3.11's syntax trees cannot be made by two threads at once
ALLOWED = ("math", "min", "max", "abs")  # what a step may use beside its arguments and the functions it closes over
CONSTANTS = ("inf", "pi", "e", "tau")  # of math
SIGNATURE = "types.int64(types.int64, types.int64, types.CPointer(types.int64), types.CPointer(types.float64))"


def cache_folder() -> Path:
    """Where kernels are kept: $SPIKESIM_CACHE, or the user's cache folder."""
    root = os.environ.get("SPIKESIM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikesim"
    return Path(root) / f"numba-{numba.__version__}-python-{sys.version_info.major}.{sys.version_info.minor}"


def arguments(cells: Cells) -> tuple[list[str], list[str], list[str]]:
    """The names of a sweep's rows (addresses of arrays over neurons), constants, and varying coefficients.

    Rows: state variables that may change, inputs of each port, drives of driven ports, varying coefficients, injected current, fired.
    """
    coefficients = {f"membrane_{k}": v for k, v in cells.coefficients.items()}
    for at, port in enumerate(cells.ports):
        coefficients |= {f"port{at}_{k}": v for k, v in port.coefficients.items()}
        if port.kind == CONDUCTANCE:
            coefficients[f"port{at}_reversal"] = port.reversal
    varying = [name for name, value in coefficients.items() if isinstance(value, np.ndarray)]
    constants = [name for name in coefficients if name not in varying] + [f"port{at}_quantum" for at in range(len(cells.ports))]
    constants += [f"port{at}_drive_unit" for at, port in enumerate(cells.ports) if port.drive_unit is not None]
    rows = [f"state{row}" for row in range(len(cells.variables)) if row not in cells.still] + [
        f"input{at}" for at in range(len(cells.ports))
    ]
    rows += [f"drive{at}" for at, port in enumerate(cells.ports) if port.driven]
    return rows + varying + (["injected"] if cells.injected else []) + ["fired"], constants, varying


def coefficient(cells: Cells, name: str) -> float | np.ndarray:
    """The value of a coefficient that `arguments` named."""
    owner, _, key = name.partition("_")
    if owner == "membrane":
        return cells.coefficients[key]
    port = cells.ports[int(owner.removeprefix("port"))]
    return (port.coefficients | {"quantum": port.quantum, "reversal": port.reversal, "drive_unit": port.drive_unit})[key]


def repeats(values: np.ndarray) -> bool:
    """Whether values come again after SWEPT neurons, as those of channels do: then 2 SWEPT of them serve for all, and stay in the cache."""
    return len(values) > 2 * SWEPT and np.array_equal(values[SWEPT:], values[:-SWEPT])


def fired_type(cells: Cells) -> str:
    """The dtype of what a sweep writes for each neuron: whether it fired, or the size of its spike."""
    return "int32" if cells.graded else "uint8"


def drive_type(port: Port, precision: str) -> str:
    """The dtype of a port's Poisson drive: the number of spikes of its only one, or the sum of all."""
    return precision if port.drive_unit is None else "uint8"


def sweep_source(cells: Cells, precision: str, accumulator: str) -> str:
    """The text of the module that holds the sweep of ``cells``."""
    rows, constants, varying = arguments(cells)
    types = {name: precision for name in rows} | {f"input{at}": accumulator for at in range(len(cells.ports))}
    types |= {f"drive{at}": drive_type(port, precision) for at, port in enumerate(cells.ports)}
    types["fired"] = fired_type(cells)
    relaxed = STRICT if cells.graded else RELAXED
    lines = [f"    constants = carray(constants, {max(len(constants), 1)})", f"    rows = carray(rows, {len(rows)})"]
    lines += [f"    {name} = real(constants[{at}])" for at, name in enumerate(constants)]
    first = {name: f"first % {SWEPT}" for name in varying if repeats(coefficient(cells, name))}  # type: ignore[arg-type]
    begin = {name: f"rows[{at}] + {first.get(name, 'first')} * {np.dtype(types[name]).itemsize}" for at, name in enumerate(rows)}
    lines += [f"    {name} = carray(pointer({begin[name]}, np.{types[name]}), count)" for name in rows]
    steps = {"membrane_step": cells.membrane} | {f"port{at}_step": port.step for at, port in enumerate(cells.ports)}
    return "\n".join([
        HEAD, f"real = np.{precision}", *(_function(name, step, relaxed) for name, step in steps.items()), "",  # type: ignore[arg-type]
        f'@cfunc({SIGNATURE}, cache=True, error_model="numpy", fastmath={relaxed})', "def sweep(first, last, rows, constants):",
        "    count = last - first", *lines, "    spikes = 0", "    for i in range(count):",
        *(f"        {line}" for line in _body(cells, varying)), "    return spikes", "",
    ])  # fmt: skip


def _body(cells: Cells, varying: list[str]) -> list[str]:
    """The statements for neuron i: each port in turn, then the membrane."""

    def value(name: str) -> str:
        return f"{name}[i]" if name in varying else name

    lines = [] if cells.separate else ["current = real(0)", "jump = real(0)", "conductance = real(0)", "pull = real(0)"]
    for at, port in enumerate(cells.ports):
        contribution = f"contribution{at}" if cells.separate else "contribution"
        unit = f" * port{at}_drive_unit" if port.drive_unit is not None else ""
        drive = f" + real(drive{at}[i]){unit}" if port.driven else ""
        lines += [f"x = real(input{at}[i]) * port{at}_quantum{drive}", f"input{at}[i] = 0"]
        states = [f"state{row}[i]" for row in port.variables]
        given = ", ".join([*states, "x", *(value(f"port{at}_{name}") for name in port.coefficients)])
        new = [f"new{row}" for row in port.variables]
        lines += [f"{', '.join([*new, contribution])}{'' if new else ','} = port{at}_step({given})"]
        lines += [f"{state} = {name}" for state, name in zip(states, new, strict=True)]
        lines += [] if cells.separate else [f"{port.kind} = {port.kind} + contribution"]
        if port.kind == CONDUCTANCE and not cells.separate:
            lines += [f"pull = pull + contribution * {value(f'port{at}_reversal')}"]
    sums = [f"contribution{at}" for at in range(len(cells.ports))] if cells.separate else ["current", "jump", "conductance", "pull"]
    inputs = [*sums, "injected[i]" if cells.injected else "real(0)"]
    own = [row for row in range(cells.own) if row not in cells.still]
    given = ", ".join(
        [
            *(f"state{row}[i]" if row in own else "real(0)" for row in range(cells.own)),
            *inputs,
            *(value(f"membrane_{name}") for name in cells.coefficients),
        ]
    )
    lines += [f"{', '.join([*(f'new{row}' for row in range(cells.own)), 'spike'])} = membrane_step({given})"]
    lines += [f"state{row}[i] = new{row}" for row in own]
    return [*lines, "fired[i] = spike", "spikes += spike != 0" if cells.graded else "spikes += spike"]


class _Typed(ast.NodeTransformer):
    """Gives every number in a step the type of the state, for a double would turn all it meets into doubles.

    renamed: the functions that the step calls, under the names they have in the sweep's module.
    """

    def __init__(self, renamed: dict[str, str]) -> None:
        self.renamed = renamed

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return node
        return _real(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "math":
            if node.attr in CONSTANTS:
                return _real(node)
            if node.attr == "floor":  # numba's math.floor gives an integer, which not every float fits
                return ast.Attribute(ast.Name("np", ast.Load()), "floor", ast.Load())
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return node  # places in a tuple stay whole numbers

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.renamed.get(node.id, node.id), node.ctx)


def _real(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("real", ast.Load()), [node], [])


@lru_cache(256)
def _function(name: str, step: Callable, relaxed: str, callers: tuple[Callable, ...] = ()) -> str:
    """The source of a scalar step under a new name, compiled, after that of the functions it closes over."""
    step = inspect.unwrap(step)
    tree = _parsed(step)
    if step in callers:
        raise KindError(f"the scalar step {tree.name!r} calls itself; write it as plain arithmetic")
    cells = zip(step.__code__.co_freevars, step.__closure__ or (), strict=True)
    closed = {key: cell.cell_contents for key, cell in cells if inspect.isfunction(cell.cell_contents)}
    foreign = [used for used in _foreign_names(tree) if used not in closed]
    if foreign:
        raise KindError(f"the scalar step {tree.name!r} uses {', '.join(foreign)}, which it is not given; pass what it needs "
                        f"as coefficients (it may use {', '.join(ALLOWED)}, and functions that it closes over)")  # fmt: skip
    called = [_function(f"{name}_{key}", function, relaxed, (*callers, step)) for key, function in closed.items()]
    tree.name, tree.decorator_list = name, []
    typed = ast.unparse(_Typed({key: f"{name}_{key}" for key in closed}).visit(tree))
    return "".join([*called, f'\n\n@njit(error_model="numpy", fastmath={relaxed})\n{typed}'])


def _parsed(step: Callable) -> ast.FunctionDef:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(step)))
    except (OSError, TypeError, SyntaxError):
        raise KindError(f"the scalar step {step!r} has no source text that can be read; define it in a file") from None
    if not isinstance(tree.body[0], ast.FunctionDef):
        raise KindError(f"the scalar step {step!r} must be a plain function (def ...), found:\n{ast.unparse(tree)}")
    return tree.body[0]


def _foreign_names(step: ast.FunctionDef) -> list[str]:
    """The names a step reads without having been given or having set them."""
    names = [node for node in ast.walk(step) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        node.arg for node in ast.walk(step.args) if isinstance(node, ast.arg)
    }
    return sorted({node.id for node in names if isinstance(node.ctx, ast.Load)} - own - set(ALLOWED))


def load_sweep(cells: Cells, precision: str, accumulator: str) -> int:
    """The address of the compiled sweep of ``cells``; the sweep's module must outlive its use, so it is kept."""
    with ONE_AT_A_TIME:
        return _module(sweep_source(cells, precision, accumulator)).sweep.address


@cache
def _module(text: str):
    name = f"spikesim_sweep_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text() != text:
        _write_at_once(path, text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba's cache looks the module up by its name
    spec.loader.exec_module(module)
    return module


def _write_at_once(path: Path, text: str) -> None:
    """Write so that another process sees the whole file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise CacheError(f"kernel cache {path.parent}: cannot be written ({error}); set SPIKESIM_CACHE to a folder of yours") from None
