"""From a torch module to a `Graph`: the module is run once by torch.fx, and each operator is written as nodes.

The batch must stay the first dimension throughout. What has no row in the tables of `spikesim.convert.lowerings` is refused,
never passed through; at the end the graph is compared with the module on the example.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from spikesim.convert.builder import array
from spikesim.convert.graph import Graph, evaluate, inside, outside
from spikesim.convert.lowerings import MODULES, supported
from spikesim.convert.operators import multiply_accumulates
from spikesim.convert.tracer import ConcreteTracer, ExampleError, float64_copy, in_float64, samples_of  # fmt: skip
from spikesim.convert.walk import Walk
from spikesim.errors import ConversionError, KindError

CLOSE = 1e-6  # relative to the largest output: float64 leaves 1e-12, a wrong operator far more


class Alone(nn.Module):
    """Calls the user's module with one tensor, so that its path is "it" and further arguments keep their defaults."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.it = module

    def forward(self, x: torch.Tensor) -> Any:
        """The module's result."""
        return self.it(x)


def trace(module: nn.Module, example: Any, *, allow_analog: Sequence[str] = ()) -> Graph:
    """The graph that computes what ``module`` computes in eval mode, all in float64.

    example: a batch (n, *input shape), one sample is enough; allow_analog: names of operators or module classes that may be
    computed as they are before the first neuron (`Graph.before`) or after the last one (`Graph.after`). The module itself,
    its mode and its device are left alone. Raises `ConversionError` that lists everything that stands in the way.
    """
    if not isinstance(module, nn.Module):
        raise KindError(f"trace: expected a torch.nn.Module, got {module!r}")
    if isinstance(allow_analog, str):
        raise KindError(f"trace: expected allow_analog as a list of names, got the text {allow_analog!r}")
    samples = samples_of(example)
    twin = float64_copy(module)
    complaints = [*_hooks(twin), *_not_finite(twin)]
    alone = Alone(twin).eval()
    root, traced, note = _traced(alone, samples, allow_analog, type(module).__name__)
    walk = Walk(root, traced, type(module).__name__, allow_analog)
    graph = walk.graph()
    complaints += walk.complaints and [*walk.complaints, *note]
    if complaints or graph is None:
        raise _refusal(type(module).__name__, complaints)
    graph = _without_the_dead(graph)
    _compare(graph, alone, samples[:2], type(module).__name__)
    return _with_cost(graph)


def _traced(alone: Alone, samples: torch.Tensor, leaves: Sequence[str], title: str) -> tuple[nn.Module, fx.Graph, list[str]]:
    """The module that holds the constants, the graph of torch.fx, or of torch.export where fx fails, and a note why it did."""
    tracer = ConcreteTracer(samples, (*MODULES, *leaves))
    try:
        with in_float64():
            return alone, tracer.trace(alone), []
    except ExampleError as error:
        raise ConversionError(f"{title} cannot be converted: {error}") from error
    except ConversionError:
        raise
    except Exception as error:
        first = error
    try:
        return *_exported(alone, samples), [f"(torch.fx could not trace it: {_short(first)})"]
    except Exception as error:
        raise ConversionError(
            f"{title} cannot be traced: its forward must not depend on the values of its input. torch.fx says: {_short(first)}; "
            f"torch.export says: {_short(error)}"
        ) from first


def _exported(alone: Alone, samples: torch.Tensor) -> tuple[nn.Module, fx.Graph]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.export(alone, (samples.clone(),)).run_decompositions({}).module()
    finally:
        torch.set_default_dtype(before)
    graph = module.graph
    for node in graph.nodes:
        value = node.meta.get("val")
        node.meta["shape"] = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        node.meta["floating"] = not isinstance(value, torch.Tensor) or value.is_floating_point()
    return module, graph


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _hooks(root: nn.Module) -> list[str]:
    return [f"{path or 'module'}: {type(part).__name__} has forward hooks, which may change what it computes; remove them"
            for path, part in root.named_modules() if part._forward_hooks or part._forward_pre_hooks]  # fmt: skip


def _not_finite(root: nn.Module) -> list[str]:
    return [f"{path} holds nan or infinity" for path, tensor in root.state_dict().items()
            if isinstance(tensor, torch.Tensor) and not np.isfinite(array(tensor)).all()]  # fmt: skip


def _refusal(title: str, complaints: Sequence[str]) -> ConversionError:
    return ConversionError(
        "\n  ".join([f"{title} cannot be converted:", *dict.fromkeys(complaints)])
        + (f"\nSupported: {supported()}. Add a row with register_lowering, or, before the first neuron or after the last, allow_analog")
    )


def _without_the_dead(graph: Graph) -> Graph:
    """Leave out what does not lead to the output."""
    needed = {graph.output}
    for node in reversed(list(graph)):
        if node.name in needed:
            needed.update(node.inputs)
    return replace(graph, nodes={node.name: node for node in graph if node.name in needed or node.shown})


def _with_cost(graph: Graph) -> Graph:
    """Write the multiply-accumulates into the nodes, before operators are merged."""
    sizes = {node.name: sum(graph.nodes[name].size for name in node.inputs) for node in graph}
    nodes = {node.name: replace(node, macs=multiply_accumulates(node.operator, sizes[node.name], node.size)) for node in graph}
    return replace(graph, nodes=nodes)


def read_out(graph: Graph, images: torch.Tensor) -> torch.Tensor:
    """What the module returns for images (n, *input shape), by the graph and what it leaves outside."""
    return outside(graph, evaluate(graph, inside(graph, images))[graph.output])


def _compare(graph: Graph, alone: Alone, images: torch.Tensor, title: str) -> None:
    """Hold the graph against the module on a batch of another size than the traced one."""
    try:
        with in_float64():
            wanted = alone(images.clone())
    except Exception as error:
        raise ConversionError(f"{title} works for {len(images) + 1} samples at once and fails for {len(images)}: {error}; "
                              "its forward must take any batch size") from error  # fmt: skip
    found = read_out(graph, images)
    if not wanted.isfinite().all():
        raise ConversionError(f"{title} gives nan or infinity on the example; trace it with one that it can work on")
    scale = float(wanted.abs().max()) or 1.0
    error = float((found - wanted).abs().max()) / scale if found.shape == wanted.shape else float("inf")
    if not error <= CLOSE:
        raise ConversionError(
            f"{title}: the graph does not compute what the module does (relative difference {error:.2g}). The forward may draw at random, "
            "change a tensor in place that it reads again through a view, depend on the batch, or overflow on the example"
        )


def describe(graph: Graph) -> str:
    """One line for each node: name, operator, inputs, shape."""
    return "\n".join(f"{node.name:24s} {type(node.operator).__name__:12s} {', '.join(node.inputs)} -> {node.shape}" for node in graph)
