"""The house rules: imports point down, files and functions stay short, the wheel holds every source file."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("spikesim", "models", "hardware") for path in ROOT.glob(f"{folder}/**/*.py")
                 if not any(part.is_symlink() for part in path.parents))  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# from the lowest layer up; a module may import from its own layer and from lower ones
LAYERS = (
    {"errors", "version", "machine", "propagators", "kernel", "prefetch", "barrier", "bits"},
    {"units"},
    {"description"},
    {"distributions", "synapses", "stimulus", "connectivity.rules", "connectivity.structured", "connectivity.along", "connectivity"},
    {"plasticity"},
    {"neurons", "neurons.model", "neurons.lif", "neurons.integrate_and_fire", "neurons.activations", "neurons.graded",
     "neurons.sigma_delta", "neurons.first_spike", "neurons.combining", "neurons.truenorth", "neurons.loihi"},
    {"population"},
    {"network"},
    {"summary", "hdf5", "storage"},
    {"random"},
    {"draws"},
    {"connectivity.pairs", "connectivity.tables", "connectivity.procedural"},
    {"program"},
    {"compiler", "compiler.grid", "compiler.quanta", "compiler.cells", "compiler.stimuli", "compiler.wiring", "compiler.compile"},
    {"engine", "engine.state", "engine.memory", "engine.native", "engine.plan", "engine.parts", "engine.stimuli",
     "engine.delivery", "engine.blocks", "engine.records", "engine.procedural", "engine.history", "engine.arrivals", "engine.ahead",
     "engine.sliding",
     "engine.worker", "engine.sweep", "engine.cpu",
     "engine.reference"},
    {"recording", "recorder", "recording_file", "plot"},
    {"interrupt", "progress", "torch_state"},
    {"trials"},
    {"simulation"},
    {""},
    {"convert.operators", "convert.qcfs"},
    {"convert.graph", "convert.finetune"},
    {"convert.builder", "convert.lowerings", "convert.lowerings.table", "convert.lowerings.arithmetic", "convert.lowerings.groups",
     "convert.lowerings.linear", "convert.lowerings.pointwise", "convert.lowerings.pooling", "convert.lowerings.shape"},
    {"convert.tracer", "convert.walk", "convert.regions", "convert.trace"},
    {"convert.rewrite", "convert.calibrate", "convert.placement", "convert.lower", "convert.stepper", "convert.tune", "convert.cost"},
    {"convert.report", "convert.converted", "convert.split", "convert.score", "convert.energy", "convert.work", "convert.comparison",
     "convert.tables", "convert.figures", "convert.html", "convert"},
    {"models.seeded", "models.data", "models.data.split", "models.data.idx", "models.data.fashion", "models.data.optical_digits",
     "models.data.diabetes"},
    {"models.train", "models.metrics"},
    {"models.perceptron", "models.lenet", "models.vgg", "models.resnet", "models.densenet", "models.mobilenet", "models.shufflenet",
     "models.squeezenet", "models.senet", "models.bam", "models.efficientnet", "models.c3d", "models.autoencoder", "models.gcn",
     "models.dcgan", "models.truenorth"},
    {"models", "models.zoo", "models.networks", "models.networks.vogels_abbott",
     "models.networks.microcircuit", "models.networks.brunel", "models.networks.feedforward"},
    {"hardware.unroll"},
    {"hardware.truenorth.limits", "hardware.truenorth.axon_types"},
    {"hardware.truenorth.neuron"},
    {"hardware.truenorth.kernels"},
    {"hardware.truenorth.image"},
    {"hardware.truenorth.emulator", "hardware.truenorth.image_file", "hardware.truenorth.equivalent", "hardware.truenorth.recurrent",
     "hardware.truenorth.traffic"},
    {"hardware.truenorth.report", "hardware.truenorth.synapses", "hardware.truenorth.cells", "hardware.truenorth.partition",
     "hardware.truenorth.placement", "hardware.truenorth.fanout", "hardware.truenorth.corelets"},
    {"hardware.truenorth.assembly"},
    {"hardware.truenorth.mapping"},
    {"hardware.truenorth"},
    {"hardware.loihi.weights", "hardware.loihi.lava_network", "hardware.loihi.lava_processes", "hardware.loihi.plastic", "hardware.loihi"},
    {"hardware.loihi.circuit"},
    {"hardware.loihi.limits", "hardware.loihi.image"},
    {"hardware.loihi.fired"},
    {"hardware.loihi.payload"},
    {"hardware.loihi.learning"},
    {"hardware.loihi.kernels"},
    {"hardware.loihi.layout"},
    {"hardware.loihi.build", "hardware.loihi.emulator", "hardware.loihi.lava_form", "hardware.loihi.lava"},
    {"hardware.loihi.run", "hardware.loihi.run_lava"},
    {"hardware.loihi.trials"},
    {"hardware.filling", "hardware.refine", "hardware.partition", "hardware.place"},
    {"hardware.quantization"},
    {"hardware.membranes", "hardware.fixed_weights"},
    {"hardware.quantize"},
    {"hardware.energy"},
    {"hardware.loihi.image_file", "hardware.loihi.report", "hardware.loihi.mapping"},
    {"hardware.target", "hardware"},
    {"run_file"},
    {"info", "map_file", "benchmarks", "bench", "roofline", "profile", "demo", "zoo_table", "cli", "__main__"},
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
    for path in [*ROOT.glob("spikesim/convert/**/*.py"), *ROOT.glob("hardware/**/*.py")]:
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
