"""The walk over a traced module: each operator is handed to its row, and what cannot be converted is listed."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

from spikesim.convert.builder import SAMPLES, Builder, Moved, Refusal
from spikesim.convert.graph import Graph, Node
from spikesim.convert.lowerings import FREE, LOCAL, MODULES, Row, find_row, spellings
from spikesim.convert.operators import Input
from spikesim.convert.regions import Regions, find_regions
from spikesim.convert.tracer import label, own_of_torch, path_of, run

LOST = object()  # stands for the value of an operator that was refused, or that depends on one
OUTSIDE = ("softmax", "log_softmax")


class Walk:
    """Turns a graph of torch.fx into a `Graph`, or gathers complaints."""

    def __init__(self, root: nn.Module, traced: fx.Graph, title: str, allowed: Sequence[str]) -> None:
        self.root, self.traced, self.title = root, traced, title
        self.allowed = frozenset(allowed)
        self.complaints: list[str] = []
        self.values: dict[fx.Node, Any] = {}
        self.outside: str | None = None
        nodes = list(traced.nodes)
        self.regions: Regions = find_regions(nodes, lambda node: bool(names_of(node, root) & self.allowed))
        start = self.regions.cut or next(node for node in nodes if node.op == "placeholder")
        self.builder = Builder(start.meta["shape"][1:])
        self.values[start] = self.builder.input

    def graph(self) -> Graph | None:
        """The graph, if all could be converted."""
        last = self._last()
        for node in _needed(self.traced.nodes):
            if node.op not in ("output", "placeholder") and node not in self.values and node not in self.regions.left_out:
                self.values[node] = self._value(node, final=node is last and self.regions.source is None)
        if last is None:
            self.complaints = self.complaints or [self._no_result()]
            return None
        value = self.values.get(last, LOST)
        if self.regions.head and self.regions.cut is None:
            self.complaints.append("operators allowed to be analog stand beside others that read the same input; all of them must be "
                                   "analog, or none")  # fmt: skip
        if isinstance(value, Moved):
            self.complaints.append(f"{self._label(last)} returns the batch as dimension {value.axis}; it must be the first")
        if self.complaints or not isinstance(value, Node):
            return None
        analog = tuple(self._label(node) for node in self.traced.nodes if node in self.regions.left_out)
        return Graph(self.builder.nodes, value.name, self.outside, analog, *self.regions.callables(self.root, self.traced))

    def _last(self) -> fx.Node | None:
        """The node that the module returns, or that its analog tail reads."""
        result = next(node for node in self.traced.nodes if node.op == "output").args[0]
        if isinstance(result, tuple | list) and len(result) == 1 and isinstance(result[0], fx.Node):
            result = result[0]
        if not isinstance(result, fx.Node) or result.op == "get_attr" or result.meta.get("shape") is None:
            return None
        return self.regions.source or result

    def _no_result(self) -> str:
        result = next(node for node in self.traced.nodes if node.op == "output").args[0]
        if isinstance(result, torch.Tensor | int | float) or (isinstance(result, fx.Node) and result.op == "get_attr"):
            return f"{self.title} does not use its input"
        return f"{self.title} returns several values, or none that is a tensor; wrap it in a module that returns one"

    def _value(self, node: fx.Node, *, final: bool) -> Any:
        if node.op == "get_attr":
            return _attribute(self.root, str(node.target))
        if node.op == "call_module" and str(node.target) == "_guards_fn":
            return None
        args, kwargs = map_arg((node.args, node.kwargs), lambda one: self.values.get(one, LOST))  # type: ignore[misc]
        given: list[Any] = _flat((args, kwargs))
        if any(one is LOST for one in given):
            return LOST
        if not any(isinstance(one, Node | Moved) for one in given):
            return run(self.root, node.op, node.target, args, kwargs)
        try:
            return self._lowered(node, args, dict(kwargs), final)
        except Refusal as refusal:
            self.complaints.append(f"{self._label(node)} {refusal}")
            return self._stand_in(node)

    def _stand_in(self, node: fx.Node) -> Any:
        """Something to go on with after a refusal, so that all complaints are found."""
        shape = node.meta.get("shape")
        return self.builder.add(Input(), (), shape[1:]) if shape and shape[0] == SAMPLES else LOST

    def _lowered(self, node: fx.Node, args: Any, kwargs: dict[str, Any], final: bool) -> Any:
        name, row = self._row(node, args)
        if node.target is getattr:
            if isinstance(args[0], tuple) and args[1] == "values":
                return args[0][0]
            args = args[:1]
        shape = node.meta.get("shape")
        if final and shape and name in OUTSIDE and _last_dimension(args, kwargs, len(shape)):
            self.outside = name
            return args[0]
        if row is None:
            between = names_of(node, self.root) & self.allowed
            raise Refusal("stands between neurons, where it cannot stay analog: spikes come in and have to go out" if between
                          else "has no row" + _advice(name))  # fmt: skip
        module = (self.root.get_submodule(str(node.target)),) if node.op == "call_module" else ()

        def original(first: Any) -> Any:
            rest = map_aggregate((node_args[1:], node_kwargs), _zeros_like)
            return run(self.root, node.op, node.target, (first, *rest[0]), rest[1])  # type: ignore[index]

        node_args, node_kwargs = (args or tuple(kwargs.values())[:1], kwargs if args else dict(list(kwargs.items())[1:]))
        if node.target is getattr:
            node_args = (*args, node.args[1])
        axis, args, kwargs = _in_front(name, args, kwargs)
        before = frozenset(self.builder.nodes)
        self.builder.enter(self._base(node, name), self._label(node), shape[1:] if shape else (), original)
        found = _call(row, (self.builder, *module, *args), {key: value for key, value in kwargs.items() if value is not None})
        if axis:
            found = tuple(one and Moved(one, axis) for one in found) if isinstance(found, tuple) else Moved(found, axis)
        if isinstance(found, Node):
            self._check(node, found, 0)
            found = self.builder.rename(found, before)
        elif isinstance(found, Moved):
            self._check(node, found.node, found.axis)
            found = Moved(self.builder.rename(found.node, before), found.axis)
        if (name.endswith("_") and not name.startswith("__")) or kwargs.get("inplace"):
            self.values[node.args[0]] = found  # type: ignore[index]
        return found

    def _check(self, node: fx.Node, found: Node, axis: int) -> None:
        """Hold the node's shape against the one on the example."""
        shape, wanted = node.meta.get("shape"), (*found.shape[:axis], SAMPLES, *found.shape[axis:])
        if not node.meta.get("floating", True):
            raise Refusal("gives integers or truth values, which are not activations")
        if shape is not None and shape != wanted:
            raise Refusal(f"gives {shape} for {SAMPLES} samples, where {wanted} would keep each sample on its own")

    def _row(self, node: fx.Node, args: Any) -> tuple[str, Row | None]:
        if node.op == "call_module":
            kind = type(self.root.get_submodule(str(node.target)))
            return kind.__name__, MODULES.get(kind)
        name = operator_name(node)
        return name, find_row(None if node.target is getattr else node.target, name, aten=isinstance(node.target, torch._ops.OpOverload))

    def _label(self, node: fx.Node) -> str:
        stack = [(path_of(path), kind) for path, kind in node.meta.get("nn_module_stack", {}).values()]
        stack = stack if stack[-1:] and (stack[-1][0] or own_of_torch(stack[-1][1])) else [(self.title, None)]
        return label(operator_name(node), stack, node.stack_trace, node.op)

    def _base(self, node: fx.Node, name: str) -> str:
        """The path of a layer of torch.nn, otherwise the path of the module that calls, and the operator."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path, kind = (path_of(stack[-1][0]), stack[-1][1]) if stack else ("", None)
        bare = name.strip("_") or name
        if node.op == "call_module" or own_of_torch(kind):
            return path or bare
        return f"{path}.{bare}" if path else bare


def operator_name(node: fx.Node) -> str:
    """The bare name of a function, method, attribute, operator of ATen, or of the class of a module."""
    if node.target is getattr:
        return str(node.args[1])
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target._schema.name.split("::")[1]
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def names_of(node: fx.Node, root: nn.Module) -> set[str]:
    """What a user may call an operator: its name, the class of the layer of torch.nn around it, the class of a module."""
    if node.op not in ("call_function", "call_method", "call_module"):
        return set()
    if node.op == "call_module":
        return {type(root.get_submodule(str(node.target))).__name__}
    stack = list(node.meta.get("nn_module_stack", {}).values())
    kind = stack[-1][1] if stack else None
    around = {str(getattr(kind, "__name__", kind)).split(".")[-1]} if own_of_torch(kind) else set()
    return {operator_name(node), operator_name(node).strip("_")} | around


def _attribute(root: nn.Module, path: str) -> Any:
    value: Any = root
    for part in path.split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, torch.Tensor) else value


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, slice):
        value = [value.start, value.stop, value.step]
    return [one for part in value for one in _flat(part)] if isinstance(value, list | tuple) else [value]


def _needed(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    """Without those whose value nobody reads; what works in place is read through its input."""
    needed: set[fx.Node] = set()
    for node in reversed(list(nodes)):
        in_place = operator_name(node).endswith("_") or node.kwargs.get("inplace")
        if node.op == "output" or in_place or any(user in needed for user in node.users):
            needed.add(node)
    return [node for node in nodes if node in needed]


def _call(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a row; torch's names for the first two arguments may be given."""
    first = [kwargs.pop(key) for key in ("input", "self") if key in kwargs and len(args) == 1]
    second = [kwargs.pop(key) for key in ("other", "mat2", "vec2") if key in kwargs]
    args = (*args, *first, *second)
    try:
        inspect.signature(row).bind(*args, **kwargs)
    except TypeError as error:
        raise Refusal(f"is called with arguments that its row does not know: {error}") from error
    return row(*args, **kwargs)


def _zeros_like(value: Any) -> Any:
    """Zeros of the shape of an activation, for operators that only look at its shape."""
    return torch.zeros(SAMPLES, *value.shape).double() if isinstance(value, Node) else value


def _in_front(name: str, args: Any, kwargs: dict[str, Any]) -> tuple[int, Any, dict[str, Any]]:
    """Where the batch stands, if not in front, and the arguments as if it did: for operators that do not care where it is."""
    given = _flat((args, kwargs))
    axes = {one.axis for one in given if isinstance(one, Moved)}
    names = set(spellings(name))
    if not axes or names & FREE:
        return 0, args, kwargs
    constants = [one for one in given if isinstance(one, torch.Tensor) and one.ndim > 1]
    if len(axes) > 1 or any(isinstance(one, Node) for one in given) or not names & LOCAL or (constants and "linear" not in names):
        raise Refusal(f"reads a value whose batch is dimension {max(axes)}; bring it to the front before")
    unwrap: Any = lambda one: one.node if isinstance(one, Moved) else one  # noqa: E731
    front: Any = map_aggregate((args, kwargs), unwrap)
    return axes.pop(), *front


def _last_dimension(args: Any, kwargs: dict[str, Any], rank: int) -> bool:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return rank > 1 and dim in (-1, rank - 1)


def _advice(name: str) -> str:
    known: dict[str, str] = {
        "log": "; a logarithm before the first neuron may be analog: allow_analog=['log']",
        "sqrt": "; multiply by rsqrt, or use square",
        "argmax": "; return the scores, predictions are taken from the read-out",
        "std": "; use var and rsqrt",
        "einsum": "; write it as @, * and sum",
        "setitem": "; use where, or cat",
    }
    return known.get(name.strip("_"), "")
