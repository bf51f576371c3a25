"""From a torch module to a chain of linear stages, the form in which it is turned into spikes.

The module is traced by torch.fx and must be a straight chain of layers. Batch normalisation is folded into the
layer before it (Rueckauer et al. 2017, Front. Neurosci. 11:682), average pooling into the layer after it; both
are exact. Whatever has no row in `LAYERS`, or stands where it cannot be folded, is refused, never passed through.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from spikesim.description import frozen_array
from spikesim.errors import ConversionError, DescriptionError, KindError

Shape = tuple[int, ...]

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}  # by the number of space dimensions


@dataclass(frozen=True, eq=False)
class Stage:
    """``y = conv_or_linear(x) + bias``, then ReLU where ``spiking``. Shapes are without the batch dimension.

    | field     | conv                                           | dense                                  |
    |-----------|------------------------------------------------|----------------------------------------|
    | weights   | (channels_out, channels_in / groups, *kernel)  | (outputs, inputs)                      |
    | bias      | (channels_out,)                                | (outputs,)                             |
    | stride, padding, dilation | one number a space dimension   | ()                                     |
    | in_shape  | (channels_in, *space)                          | any, read flattened in C order         |
    | out_shape | (channels_out, *space)                         | (outputs,)                             |

    Weights and bias are float64, read-only, and laid out as in torch; ``in_shape`` is the out_shape of the stage
    before. ``name`` is the layer's path in the module, " #2" added where a layer is used a second time.
    """

    kind: Literal["conv", "dense"]
    weights: np.ndarray
    bias: np.ndarray
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    in_shape: Shape
    out_shape: Shape
    spiking: bool
    name: str


def linear_stages(module: nn.Module, example: Any) -> list[Stage]:
    """The stages that compute what ``module`` computes in eval mode: all spiking but the last.

    example: a batch (n, *in_shape), of which the first sample is run to find the shapes. A Flatten after the last
    layer is left out. Raises `ConversionError` that lists everything that stands in the way.
    """
    if not isinstance(module, nn.Module):
        raise KindError(f"linear_stages: expected a torch.nn.Module, got {module!r}")
    tracer = fx.Tracer()
    root = nn.Sequential(module) if tracer.is_leaf_module(module, "") else module
    with eval_mode(root), torch.no_grad():
        graph = _trace(tracer, root)
        _ShapeRecorder(root, graph).run(first_sample(root, example))
    chain = _Chain(next(iter(graph.nodes)).meta["shape"])
    _refuse_hooks(chain, root)
    _refuse_infinite(chain, root)
    _walk(chain, graph, root)
    chain.finish()
    if chain.complaints:
        raise _refusal(module, chain.complaints)
    return chain.stages


def run_stages(stages: Sequence[Stage], images: Any) -> np.ndarray:
    """What the stages compute, in float64, for images (n, *in_shape): (n, *out_shape) of the last stage."""
    values = images.double() if isinstance(images, torch.Tensor) else torch.from_numpy(np.array(images, np.float64))
    if tuple(values.shape[1:]) != stages[0].in_shape:
        raise DescriptionError(f"run_stages: expected images (n, *in_shape), in_shape {stages[0].in_shape}, got {tuple(values.shape)}")
    for stage in stages:
        weights, bias = torch.tensor(stage.weights), torch.tensor(stage.bias)
        if stage.kind == "dense":
            values = functional.linear(values.flatten(1), weights, bias)
        else:
            convolve = CONVOLUTIONS[weights.ndim - 2]
            values = convolve(values, weights, bias, stage.stride, stage.padding, stage.dilation, stage.groups)
        values = torch.relu(values) if stage.spiking else values
    return values.numpy()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Put ``module`` into eval mode, and afterwards each of its parts back into the mode it was in."""
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag


class _Layer(NamedTuple):
    """A layer where it stands: its path, how it is called in messages, the shapes it reads and gives."""

    name: str
    label: str
    in_shape: Shape
    out_shape: Shape


class _Chain:
    """What the walk has gathered: the stages, the pooling to be folded into the next one, the complaints."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape  # what the next stage reads, before any pooling and flattening
        self.stages: list[Stage] = []
        self.complaints: list[str] = []
        self.restart(sound=True)

    def restart(self, *, sound: bool) -> None:
        """Forget the pooling; not ``sound``: after a refused layer, nothing can be said of the place of the next."""
        self.pools: list[_Layer] = []
        self.window: tuple[int, ...] = ()  # of all pools together, () without
        self.divisor = 1
        self.sound = sound

    def refuse(self, label: str, why: str = "") -> None:
        """Complain about the layer, and go on behind it."""
        self.complaints.append(f"{label}{why}")
        self.restart(sound=False)

    def pool(self, layer: _Layer, window: Shape, divisor: int) -> None:
        """Keep pooling for the next stage; pools of pools multiply."""
        self.pools.append(layer)
        self.window = tuple(a * b for a, b in zip(self.window or (1,) * len(window), window, strict=True))
        self.divisor *= divisor

    def add(self, layer: _Layer, kind: Literal["conv", "dense"], weights: np.ndarray, bias: torch.Tensor | None,
            *, stride: Shape = (), padding: Shape = (), dilation: Shape = (), groups: int = 1) -> None:  # fmt: skip
        """Append a stage; ``weights`` hold the folded pooling but for its divisor."""
        if self.sound and self.stages and not self.stages[-1].spiking:
            self.complaints.append(f"{layer.label} follows {self.stages[-1].name} without a ReLU between them")
        taken = sum(1 for stage in self.stages if stage.name == layer.name or stage.name.startswith(f"{layer.name} #"))
        name = f"{layer.name} #{taken + 1}" if taken else layer.name
        offsets = np.zeros(len(weights)) if bias is None else _float64(bias)
        self.stages.append(Stage(kind, frozen_array(weights / self.divisor, name), frozen_array(offsets, name), stride, padding,
                                 dilation, groups, self.shape, layer.out_shape, False, name))  # fmt: skip
        self.shape = layer.out_shape
        self.restart(sound=True)

    def finish(self) -> None:
        """Complain about what must not stand at the end."""
        if self.sound and self.stages and self.stages[-1].spiking:
            self.complaints.append(f"{self.stages[-1].name}: the last layer must be read out without a ReLU after it")
        for layer in self.pools:
            self.complaints.append(f"{layer.label} has no conv or linear layer after it to be folded into")
        if not self.stages and not self.complaints:
            self.complaints.append("it has no conv or linear layer")


def _conv(chain: _Chain, module: Any, layer: _Layer) -> None:
    dims = module.weight.ndim - 2
    padding = _zero_padding(module)
    if len(layer.in_shape) != dims + 1:
        return chain.refuse(layer.label, f" needs (channels, {dims} space dimensions) after the batch dimension, got {layer.in_shape}")
    if padding is None:
        return chain.refuse(layer.label, f" with padding={module.padding!r}, padding_mode={module.padding_mode!r}: "
                                         "only zeros, and as many on both sides")  # fmt: skip
    if chain.pools and any(step != 1 for step in module.dilation):
        pools = ", ".join(pool.label for pool in chain.pools)
        return chain.refuse(layer.label, f" with dilation {module.dilation} after pooling, which cannot be folded into it ({pools})")
    window = chain.window or (1,) * dims
    weights = _spread(_float64(module.weight), window)
    stride, padding = (tuple(a * b for a, b in zip(value, window, strict=True)) for value in (module.stride, padding))
    chain.add(layer, "conv", weights, module.bias, stride=stride, padding=padding, dilation=module.dilation, groups=module.groups)


def _linear(chain: _Chain, module: Any, layer: _Layer) -> None:
    if len(layer.in_shape) != 1:
        return chain.refuse(layer.label, f" reads shape {layer.in_shape}; put a Flatten before it")
    weights = _float64(module.weight)
    if chain.pools:
        weights = _spread(weights.reshape(-1, *chain.pools[-1].out_shape), chain.window)
    chain.add(layer, "dense", weights.reshape(module.out_features, -1), module.bias)


def _batch_norm(chain: _Chain, module: Any, layer: _Layer) -> None:
    if module.running_mean is None:
        return chain.refuse(layer.label, " without running statistics depends on the batch; use track_running_stats=True")
    if not chain.sound:
        return None
    if not chain.stages or chain.pools or chain.stages[-1].spiking or chain.stages[-1].out_shape != layer.in_shape:
        return chain.refuse(layer.label, " does not stand directly after a conv or linear layer")
    last = chain.stages[-1]
    gain = (_float64(module.running_var) + module.eps) ** -0.5 * (1.0 if module.weight is None else _float64(module.weight))
    weights = last.weights * gain.reshape(-1, *(1,) * (last.weights.ndim - 1))
    bias = (last.bias - _float64(module.running_mean)) * gain + (0.0 if module.bias is None else _float64(module.bias))
    chain.stages[-1] = replace(last, weights=frozen_array(weights, last.name), bias=frozen_array(bias, last.name))
    return None


def _relu(chain: _Chain, module: Any, layer: _Layer) -> None:
    if not chain.sound:
        return None
    if chain.pools or not chain.stages:
        return chain.refuse(layer.label, " does not stand directly after a conv or linear layer; put it before the pooling")
    chain.stages[-1] = replace(chain.stages[-1], spiking=True)
    return None


def _average_pool(chain: _Chain, module: Any, layer: _Layer) -> None:
    dims = {nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}[type(module)]
    if len(layer.in_shape) != dims + 1:
        return chain.refuse(layer.label, f" needs (channels, {dims} space dimensions) after the batch dimension, got {layer.in_shape}")
    window, stride, padding = (tuple(np.broadcast_to(value, dims).tolist())
                               for value in (module.kernel_size, module.stride, module.padding))  # fmt: skip
    if stride != window or any(padding):
        return chain.refuse(layer.label, f" with kernel {window}, stride {stride}, padding {padding}: "
                                         "foldable only when the stride is the kernel, without padding")  # fmt: skip
    if any(size % step for size, step in zip(layer.in_shape[1:], window, strict=True)):
        return chain.refuse(layer.label, f" with kernel {window} does not divide {layer.in_shape[1:]} exactly, so it cannot be folded")
    chain.pool(layer, window, getattr(module, "divisor_override", None) or math.prod(window))
    return None


def _flatten(chain: _Chain, module: Any, layer: _Layer) -> None:
    if module.start_dim != 1 or layer.out_shape != (math.prod(layer.in_shape),):
        chain.refuse(layer.label, f" from dimension {module.start_dim} to {module.end_dim}: only all but the batch dimension, Flatten()")


def _nothing(chain: _Chain, module: Any, layer: _Layer) -> None:
    """In eval mode the layer passes its input on."""


LAYERS: dict[type[nn.Module], Callable[[_Chain, Any, _Layer], None]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv),
    nn.Linear: _linear,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.ReLU: _relu,
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _average_pool),
    nn.Flatten: _flatten,
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), _nothing),
}


def _float64(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _spread(weights: np.ndarray, window: Shape) -> np.ndarray:
    """Repeat each weight over the pooling window, along the last axes."""
    for axis, times in enumerate(window, start=weights.ndim - len(window)):
        weights = np.repeat(weights, times, axis)
    return weights


def _zero_padding(module: Any) -> Shape | None:
    """The padding of a conv layer for each dimension; None if it is not of zeros, or not the same on both sides."""
    if module.padding_mode != "zeros":
        return None
    if not isinstance(module.padding, str):
        return tuple(module.padding)
    reach = [step * (size - 1) for step, size in zip(module.dilation, module.kernel_size, strict=True)]
    if module.padding == "valid":
        return (0,) * len(reach)
    return None if any(total % 2 for total in reach) else tuple(total // 2 for total in reach)


def first_sample(module: nn.Module, example: Any) -> torch.Tensor:
    """The first of a batch of examples, as the module takes it."""
    like = next(module.parameters(), torch.zeros(()))
    batch = example if isinstance(example, torch.Tensor) else np.array(example)  # a copy: torch warns of read-only arrays
    if batch.ndim < 2 or len(batch) == 0:
        raise DescriptionError(f"linear_stages: expected an example batch of shape (n, *in_shape), got {tuple(batch.shape)}")
    return torch.as_tensor(batch[:1], dtype=like.dtype, device=like.device).clone()  # a layer may work in place


def _trace(tracer: fx.Tracer, module: nn.Module) -> fx.Graph:
    tracer.record_stack_traces = True
    try:
        return tracer.trace(module)
    except Exception as error:
        raise ConversionError(f"{type(module).__name__} cannot be traced by torch.fx ({error}); "
                              "its forward must not depend on the values of its input") from error  # fmt: skip


class _ShapeRecorder(fx.Interpreter):
    """Runs the graph and notes for each node the shape of its value, without the batch dimension."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.extra_traceback = False  # it would rewrite our message

    def run_node(self, n: fx.Node) -> Any:
        try:
            value = super().run_node(n)
        except Exception as error:
            raise ConversionError(f"{_label(n, self.module)} fails on the example: {error}") from error
        n.meta["shape"] = tuple(value.shape[1:]) if isinstance(value, torch.Tensor) else ()
        return value


def _walk(chain: _Chain, graph: fx.Graph, root: nn.Module) -> None:
    """Hand each layer to its row of `LAYERS`, and refuse what has none or does not read the one before it."""
    nodes = [node for node in graph.nodes if node.op != "placeholder" or node.users]
    if nodes[0] is not next(iter(graph.nodes)):
        return chain.refuse(type(root).__name__, " does not use its input")
    for before, node in pairwise(nodes):
        label = _label(node, root)
        module = root.get_submodule(node.target) if node.op == "call_module" else None
        fold = LAYERS.get(type(module))  # type: ignore[arg-type]
        if node.op != "output" and fold is None:
            chain.refuse(label)
        elif node.all_input_nodes != [before] or (node.op == "output" and node.args[0] is not before):
            chain.refuse(label, ": not a straight chain, it does not read just what stands before it")
        elif fold is not None:
            fold(chain, module, _Layer(str(node.target), label, before.meta["shape"], node.meta["shape"]))


def _refuse_hooks(chain: _Chain, root: nn.Module) -> None:
    for path, part in root.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            chain.complaints.append(f"{path or 'module'}: {type(part).__name__} has forward hooks, which may change what it computes; "
                                    "remove them")  # fmt: skip


def _refuse_infinite(chain: _Chain, root: nn.Module) -> None:
    for path, tensor in root.state_dict().items():
        if not torch.isfinite(tensor).all():
            chain.complaints.append(f"{path} holds nan or infinity")


def _label(node: fx.Node, root: nn.Module) -> str:
    """``path: operator``; for what is not a module, the path of the module whose forward calls it, and the line."""
    if node.op == "call_module":
        return f"{node.target}: {type(root.get_submodule(str(node.target))).__name__}"
    operator = {"call_function": getattr(node.target, "__name__", str(node.target)), "call_method": f"Tensor.{node.target}",
                "get_attr": f"parameter {node.target}", "placeholder": f"input {node.target}"}.get(node.op, node.op)  # fmt: skip
    path = next(reversed(node.meta.get("nn_module_stack", {})), "") or type(root).__name__
    torch_folder = Path(str(torch.__file__)).parent
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.stack_trace or "")
    lines = [f" ({Path(file).name}:{line})" for file, line in frames if torch_folder not in Path(file).parents]
    return f"{path}: {operator}{lines[-1] if lines else ''}"


def _refusal(module: nn.Module, complaints: list[str]) -> ConversionError:
    known = ", ".join(layer.__name__ for layer in LAYERS)
    return ConversionError("\n  ".join([f"{type(module).__name__} cannot be converted:", *complaints]) + (
        f"\nSupported: one straight chain of {known}, with a ReLU after every conv and linear layer but the last, "
        "BatchNorm directly after a conv or linear layer, AvgPool before one"))  # fmt: skip
