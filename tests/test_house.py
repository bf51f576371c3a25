"""The house rules: imports point down, files and functions stay short, the wheel holds every source file."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("spikesim/*.py"), *ROOT.glob("spikesim/*/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("hardware/**/*.py")])
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# from the lowest layer up; a module may import from its own layer and from lower ones
LAYERS = (
    {"errors", "version", "machine", "propagators", "kernel"},
    {"units"},
    {"description"},
    {"distributions", "synapses", "stimulus", "connectivity.rules", "connectivity.structured", "connectivity"},
    {"neurons", "neurons.model", "neurons.lif", "neurons.integrate_and_fire", "neurons.loihi"},
    {"population"},
    {"network"},
    {"summary", "hdf5", "storage"},
    {"random"},
    {"draws"},
    {"connectivity.pairs", "connectivity.tables", "connectivity.procedural"},
    {"program"},
    {"compiler", "compiler.grid", "compiler.quanta", "compiler.cells", "compiler.stimuli", "compiler.wiring", "compiler.compile"},
    {"engine", "engine.state", "engine.memory", "engine.native", "engine.plan", "engine.parts", "engine.stimuli",
     "engine.delivery", "engine.procedural", "engine.worker", "engine.sweep", "engine.cpu",
     "engine.reference"},
    {"recording", "recorder", "recording_file", "plot"},
    {"interrupt", "progress"},
    {"trials"},
    {"simulation"},
    {""},
    {"convert", "convert.graph", "convert.calibrate", "convert.lower", "convert.cost", "convert.report", "convert.converted"},
    {"models", "models.data", "models.train", "models.lenet", "models.networks", "models.networks.vogels_abbott",
     "models.networks.microcircuit", "models.networks.brunel", "models.networks.feedforward"},
    {"hardware.unroll"},
    {"hardware.loihi.weights", "hardware.loihi.lava_network", "hardware.loihi"},
    {"hardware.loihi.circuit"},
    {"hardware.loihi.limits", "hardware.loihi.image"},
    {"hardware.loihi.build", "hardware.loihi.emulator", "hardware.loihi.lava_form", "hardware.loihi.lava"},
    {"hardware.loihi.run", "hardware.loihi.run_lava"},
    {"hardware.filling", "hardware.refine", "hardware.partition", "hardware.place"},
    {"hardware.quantization"},
    {"hardware.membranes", "hardware.fixed_weights"},
    {"hardware.quantize"},
    {"hardware.energy"},
    {"hardware.loihi.image_file", "hardware.loihi.report", "hardware.loihi.mapping"},
    {"hardware.target", "hardware"},
    {"run_file"},
    {"info", "map_file", "benchmarks", "bench", "roofline", "profile", "demo", "cli", "__main__"},
)  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part not in ("spikesim", "__init__"))


def layer_of(module: str) -> int:
    return next(level for level, members in enumerate(LAYERS) if module in members)


def imported(path: Path) -> set[str]:
    """The spikesim modules that a file imports when it is loaded (not inside functions, not for type checking)."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "spikesim":
            base = node.module.removeprefix("spikesim").removeprefix(".")
            names = {f"{base}.{alias.name}".strip(".") for alias in node.names}
            found |= {name if any(name in members for members in LAYERS) else base for name in names}
        if isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("spikesim").removeprefix(".") for alias in node.names if alias.name.split(".")[0] == "spikesim"
            }
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_only_point_down(path: Path) -> None:
    here = layer_of(module_name(path))
    above = {name for name in imported(path) if layer_of(name) > here}
    assert not above, f"{module_name(path)} imports from above: {above}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


def test_conversion_and_hardware_know_no_engine() -> None:
    for path in [*ROOT.glob("spikesim/convert/*.py"), *ROOT.glob("hardware/**/*.py")]:
        assert not {name for name in imported(path) if name.split(".")[0] in ("compiler", "program", "engine")}, path


def test_importing_spikesim_is_light() -> None:
    """`import spikesim` and the command line's help load neither numba nor torch, h5py, matplotlib or pandas."""
    heavy = "'numba', 'torch', 'h5py', 'matplotlib', 'pandas', 'scipy'"
    code = f"import sys, spikesim, spikesim.cli; print([name for name in ({heavy}) if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_wheel_holds_every_source_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    packed = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = {f"spikesim/{path.relative_to(ROOT)}".replace("spikesim/spikesim/", "spikesim/") for path in SOURCES}
    assert wanted <= packed, sorted(wanted - packed)
