"""The torch side of tracing: a float64 copy of the module, run by torch.fx with the values of an example.

Whatever does not depend on the numbers of the input (sizes, shapes, dimensions) is known while the module runs, so that its
control flow may depend on it; whatever does is refused.
"""

import copy
import operator
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.node import map_aggregate
from torch.fx.proxy import Attribute, TraceError
from torch.overrides import TorchFunctionMode

from spikesim.convert.builder import SAMPLES
from spikesim.errors import ConversionError, DescriptionError

OPAQUE = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerEncoderLayer,
          nn.TransformerDecoder, nn.TransformerDecoderLayer, nn.AdaptiveLogSoftmaxWithLoss, nn.EmbeddingBag)  # fmt: skip
# Methods whose result does not depend on the numbers of a tensor, only on its form.
FORM = {"size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "is_floating_point", "is_complex", "element_size",
        "get_device", "storage_offset", "__len__", "type", "is_tensor", "data_ptr", "has_names"}  # fmt: skip
IGNORED = (Path(torch.__file__).parent, Path(__file__).parent)


class ExampleError(Exception):
    """An operator fails on the example."""


class Float64(TorchFunctionMode):
    """While it is on, all floating results are float64, whatever the module casts to."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return as_float64(func(*args, **(kwargs or {})))


def as_float64(value: Any) -> Any:
    """A floating tensor of less precision as float64; all else as it is."""
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64:
        return value.double()
    return value


@contextmanager
def in_float64() -> Iterator[None]:
    """Compute in float64 without gradients."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), Float64():
            yield
    finally:
        torch.set_default_dtype(before)


def float64_copy(module: nn.Module) -> nn.Module:
    """The module on the CPU, in float64 and eval mode, with tensors that are plain attributes; the original is not touched."""
    try:
        with torch.no_grad():
            twin = copy.deepcopy(module).cpu().double().eval()
    except Exception as error:
        raise ConversionError(f"{type(module).__name__} cannot be copied: {error}") from error
    for part in twin.modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                vars(part)[name] = as_float64(value.detach().cpu())
    return twin


def samples_of(example: Any) -> torch.Tensor:
    """`SAMPLES` different inputs in float64, made of a batch of at least one; random ones in place of nothing but zeros."""
    batch = example if isinstance(example, torch.Tensor) else torch.from_numpy(np.array(example, np.float64))
    batch = batch.detach().cpu().double()
    if batch.ndim < 1 or len(batch) == 0:
        raise DescriptionError(f"trace: expected an example batch of shape (n, *input shape), got {tuple(batch.shape)}")
    if not batch.count_nonzero():
        batch = torch.rand((SAMPLES, *batch.shape[1:]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    picked = [batch[min(number, len(batch) - 1)] * (1.0 - 0.125 * number) for number in range(SAMPLES)]
    return torch.stack(picked)


class ConcreteProxy(fx.Proxy):
    """A value of the traced module, which knows what it is on the example."""

    def __init__(self, node: fx.Node, tracer: Any, value: Any) -> None:
        super().__init__(node, tracer)
        self.value = value

    def __getattr__(self, k: str) -> Any:
        found = getattr(self.value, k)
        if isinstance(found, torch.Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, k), {})
        return Attribute(self, k) if callable(found) else found

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        whole: Any = self  # fx.Proxy gets its operators at run time
        return (operator.getitem(whole, place) for place in range(len(self.value)))


class ConcreteTracer(fx.Tracer):
    """Traces with an example: nodes carry the shape of their value in ``meta["shape"]``, with the batch, None if not a tensor.

    leaves: classes of modules, or their names, that stay whole.
    """

    record_stack_traces = True

    def __init__(self, samples: torch.Tensor, leaves: Iterable[type[nn.Module] | str] = ()) -> None:
        super().__init__()
        self.samples = samples
        self.leaves = tuple(leaves)
        self.inside_leaf = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, OPAQUE) or type(m) in self.leaves or type(m).__name__ in self.leaves

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """A leaf runs with values, not with proxies, while its own value is found."""
        return forward(*args, **kwargs) if self.inside_leaf else super().call_module(m, forward, args, kwargs)

    def to_bool(self, obj: Any) -> bool:
        raise TraceError("control flow depends on the values of the input")

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None,
                     proxy_factory_fn: Any = None) -> Any:  # fmt: skip
        number = len(self.graph.nodes)
        value = self._value(kind, target, args, kwargs, number)
        if not isinstance(value, torch.Tensor | list | tuple) or isinstance(value, torch.Size):
            named = getattr(target, "__name__", str(target))
            if named not in FORM:
                raise TraceError(f"{named} turns values of the input into a number")
            return value
        proxy = super().create_proxy(kind, target, args, kwargs, name, type_expr, lambda node: ConcreteProxy(node, self, value))
        proxy.node.meta["shape"] = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        proxy.node.meta["floating"] = not isinstance(value, torch.Tensor) or value.is_floating_point()
        return proxy

    def _value(self, kind: str, target: Any, args: Any, kwargs: Any, number: int) -> Any:
        if kind == "placeholder":
            if number > 0:
                raise ConversionError(f"the module takes a second input {target!r}; only one tensor is converted, "
                                      "make the others buffers of a wrapping module")  # fmt: skip
            return self.samples.clone()
        args, kwargs = map_aggregate((args, kwargs), lambda one: one.value if isinstance(one, ConcreteProxy) else one)  # type: ignore[misc]
        self.inside_leaf = kind == "call_module"
        try:
            return as_float64(run(self.root, kind, target, args, kwargs))
        except Exception as error:
            raise ExampleError(f"{self._place(kind, target)} fails on the example: {error}") from error
        finally:
            self.inside_leaf = False

    def _place(self, kind: str, target: Any) -> str:
        stack = list(self.module_stack.values())
        named = str(target) if isinstance(target, str) else getattr(target, "__name__", str(target))
        return label(named, stack, None, kind)


def run(root: nn.Module, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
    """Run one node of a graph of torch.fx."""
    if kind == "call_module":
        return root.get_submodule(target)(*args, **kwargs)
    if kind == "call_method":
        return getattr(args[0], target)(*args[1:], **kwargs)
    return target(*args, **kwargs)


def label(named: str, stack: list[Any], trace: str | None, kind: str) -> str:
    """``path: operator (file.py:line)``; the operator is the class of the module of torch.nn that calls it, if it is one."""
    path, kindred = (path_of(stack[-1][0]), stack[-1][1]) if stack else ("", None)
    title = str(getattr(kindred, "__name__", kindred or "")).split(".")[-1]
    shown = title if own_of_torch(kindred) or kind == "call_module" else f"Tensor.{named}" if kind == "call_method" else named
    return f"{path + ': ' if path else ''}{shown}{source(trace)}"


def path_of(path: str) -> str:
    """The path of a part in the user's module, which stands as "it" in the traced one."""
    return path.removeprefix("it").removeprefix(".") if path.split(".")[0] == "it" else path


def own_of_torch(kind: Any) -> bool:
    """Whether a class (or its full name) is a layer of torch.nn."""
    full = kind if isinstance(kind, str) else f"{getattr(kind, '__module__', '')}.{getattr(kind, '__name__', '')}"
    return full.startswith("torch.nn.modules.") and not full.startswith("torch.nn.modules.container.")


def source(trace: str | None) -> str:
    """The last line of the user's own in a stack trace, " (file.py:line)"."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', trace or "")
    lines = [f" ({Path(file).name}:{line})" for file, line in frames if not any(folder in Path(file).parents for folder in IGNORED)]
    return lines[-1] if lines else ""
