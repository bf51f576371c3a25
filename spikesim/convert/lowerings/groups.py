"""Rows for operators that are built from several nodes: softmax, normalisation over an axis, attention."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.convert.builder import Builder, array
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.arithmetic import add, matmul
from spikesim.convert.lowerings.linear import batch_norm, linear
from spikesim.convert.lowerings.pointwise import gelu, relu
from spikesim.convert.lowerings.shape import mean, total
from spikesim.convert.lowerings.table import Row


def softmax(builder: Builder, input: Node, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *,
            mask: Any = None, positive: bool = True) -> Node:  # fmt: skip
    """``exp(x) / sum of exp(x)``, without the shift by the maximum: exact while |x| stays below some hundred.

    mask: constant, multiplied to exp(x).
    """
    if dim is None:
        builder.refuse("does not say over which dimension; give dim")
    raised = builder.pointwise(input if positive else builder.sum([input], [-1.0]), "exp")
    raised = raised if mask is None else builder.scale(raised, mask, part="mask")
    norm = builder.pointwise(total(builder, raised, dim, keepdim=True), "reciprocal")
    return builder.product(raised, norm)


def softmin(builder: Builder, input: Node, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Node:
    """The softmax of -x."""
    return softmax(builder, input, dim, positive=False)


def log_softmax(builder: Builder, input: Node, *args: Any, **kwargs: Any) -> Node:
    """Refused: at the end it is left to the read-out, see `Graph.outside`."""
    builder.refuse("is converted only as the last operator and over the last dimension, where it is applied to the read-out")


def variance(builder: Builder, x: Node, axes: Sequence[int]) -> tuple[Node, Node]:
    """``x - mean`` and the mean of its square, over ``axes`` counted without the batch, which are kept."""
    dims = [axis + 1 for axis in axes]
    centred = builder.sum([x, mean(builder, x, dims, keepdim=True)], [1.0, -1.0])
    return centred, mean(builder, builder.pointwise(centred, "square"), dims, keepdim=True)


def normalised(builder: Builder, x: Node, axes: Sequence[int], eps: float) -> Node:
    """``(x - mean) / sqrt(variance + eps)``."""
    centred, spread = variance(builder, x, axes)
    return builder.product(centred, builder.pointwise(builder.offset(spread, eps), "rsqrt"))


def affine(builder: Builder, x: Node, weight: Any, bias: Any, shape: tuple[int, ...]) -> Node:
    """``weight x + bias``, both of ``shape``, where there are any."""
    if weight is None and bias is None:
        return x
    gain = 1.0 if weight is None else array(weight).reshape(shape)
    return builder.scale(x, gain, None if bias is None else array(bias).reshape(shape))


def layer_norm(builder: Builder, input: Node, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5,
               cudnn_enable: bool = False) -> Node:  # fmt: skip
    """Layer normalisation (Ba et al. 2016)."""
    sizes = tuple(int(size) for size in normalized_shape)
    rank = len(input.shape)
    if len(sizes) > rank:
        builder.refuse(f"over {sizes} reaches into the batch dimension of {('batch', *input.shape)}")
    return affine(builder, normalised(builder, input, range(rank - len(sizes), rank), eps), weight, bias, sizes)


def rms_norm(builder: Builder, input: Node, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Node:
    """``x / sqrt(mean of x**2 + eps)``."""
    sizes, rank = tuple(int(size) for size in normalized_shape), len(input.shape)
    if len(sizes) > rank:
        builder.refuse(f"over {sizes} reaches into the batch dimension of {('batch', *input.shape)}")
    power = mean(builder, builder.pointwise(input, "square"), [axis + 1 for axis in range(rank - len(sizes), rank)], keepdim=True)
    root = builder.pointwise(builder.offset(power, float(np.finfo(np.float64).eps) if eps is None else eps), "rsqrt")
    return affine(builder, builder.product(input, root), weight, None, sizes)


def normalize(builder: Builder, input: Node, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Node:
    """``x / max(norm of x, eps)`` with the Euclidean norm."""
    if p != 2.0:
        builder.refuse(f"with p={p} has no row; only p=2")
    power = total(builder, builder.pointwise(input, "square"), dim, keepdim=True)
    return builder.product(input, builder.pointwise(builder.pointwise(power, "clamp", low=eps**2, high=np.inf), "rsqrt"))


def group_norm(builder: Builder, input: Node, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
               cudnn_enabled: bool = False) -> Node:  # fmt: skip
    """Group normalisation (Wu & He 2018)."""
    column = (-1, *(1,) * (len(input.shape) - 1))
    grouped = builder.reshape(input, (num_groups, input.size // num_groups))
    found = builder.reshape(normalised(builder, grouped, (1,), eps), input.shape)
    return affine(builder, found, weight, bias, column)


def instance_norm(builder: Builder, input: Node, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Node:  # fmt: skip
    """Instance normalisation (Ulyanov et al. 2016); with running statistics it is batch normalisation."""
    if not use_input_stats:
        return batch_norm(builder, input, running_mean, running_var, weight, bias, False, momentum, eps)
    if len(input.shape) < 2:
        builder.refuse(f"needs (channels, space) after the batch dimension, got {input.shape}")
    column = (-1, *(1,) * (len(input.shape) - 1))
    return affine(builder, normalised(builder, input, range(1, len(input.shape)), eps), weight, bias, column)


def var(
    builder: Builder, input: Node, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: int | None = None
) -> Node:
    """The variance over axes, the sum of squares divided by n - correction."""
    if dim is None:
        builder.refuse("works over all dimensions, the batch too; name the dimensions")
    axes = sorted({builder.axis(input, one) for one in (dim if isinstance(dim, list | tuple) else (dim,))})
    count = math.prod(input.shape[axis] for axis in axes)
    fewer = (1 if unbiased else 0) if correction is None else correction
    found = builder.sum([variance(builder, input, axes)[1]], [count / (count - fewer)])
    kept = found.shape if keepdim else tuple(size for axis, size in enumerate(input.shape) if axis not in axes)
    return builder.reshape(found, kept)


def attention(builder: Builder, query: Node, key: Node, value: Node, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
              *, scale: float | None = None, enable_gqa: bool = False) -> Node:  # fmt: skip
    """``softmax(q k^T / sqrt(d) + mask) v`` (Vaswani et al. 2017); the mask is multiplied to the exponentials."""
    if dropout_p or enable_gqa:
        builder.refuse("with dropout or enable_gqa has no row")
    mask = None if attn_mask is None else (array(attn_mask) if attn_mask.dtype == torch.bool else np.exp(array(attn_mask)))
    if is_causal:
        mask = np.tril(np.ones((query.shape[-2], key.shape[-2])))
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(builder, builder.sum([query], [factor]), builder.rearrange(key, lambda places: places.transpose(-1, -2)))
    return matmul(builder, softmax(builder, scores, -1, mask=mask), value)


def multihead_attention(builder: Builder, module: nn.MultiheadAttention, query: Node, key: Node, value: Node, key_padding_mask: Any = None,
                        need_weights: bool = True, attn_mask: Any = None, average_attn_weights: bool = True,
                        is_causal: bool = False) -> tuple[Node, None]:  # fmt: skip
    """nn.MultiheadAttention; its attention weights are not converted."""
    if key_padding_mask is not None or module.bias_k is not None or module.add_zero_attn:
        builder.refuse("with key_padding_mask, add_bias_kv or add_zero_attn has no row")
    if attn_mask is not None:  # True forbids here, and allows in scaled_dot_product_attention
        attn_mask = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
    width, heads = module.embed_dim, module.num_heads
    kernels = (module.in_proj_weight.chunk(3) if module.in_proj_weight is not None
               else (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight))  # fmt: skip
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)

    def separate(places: torch.Tensor) -> torch.Tensor:
        return places.unflatten(-1, (heads, width // heads)).transpose(1, 2)

    query, key, value = [builder.rearrange(linear(builder, x, kernel, bias), separate)
             for x, kernel, bias in zip((query, key, value), kernels, biases, strict=True)]  # fmt: skip
    mixed = builder.rearrange(attention(builder, query, key, value, attn_mask), lambda places: places.transpose(1, 2).flatten(2))
    return linear(builder, mixed, module.out_proj.weight, module.out_proj.bias), None


def encoder_layer(builder: Builder, module: nn.TransformerEncoderLayer, src: Node, src_mask: Any = None, src_key_padding_mask: Any = None,
                  is_causal: bool = False) -> Node:  # fmt: skip
    """nn.TransformerEncoderLayer: attention and two linear layers, each around a residual and a layer norm."""
    functions: dict[Any, Row] = {nn.functional.relu: relu, nn.functional.gelu: gelu}
    activation = functions.get(module.activation, relu if isinstance(module.activation, nn.ReLU) else
                               gelu if isinstance(module.activation, nn.GELU) else None)  # fmt: skip
    if activation is None:
        builder.refuse("has an activation that is neither ReLU nor GELU")

    def norm(x: Node, layer: Any) -> Node:
        return layer_norm(builder, x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)

    def attend(x: Node) -> Node:
        return multihead_attention(builder, module.self_attn, x, x, x, src_key_padding_mask, attn_mask=src_mask)[0]

    def feed_forward(x: Node) -> Node:
        hidden = activation(builder, linear(builder, x, module.linear1.weight, module.linear1.bias))
        return linear(builder, hidden, module.linear2.weight, module.linear2.bias)

    if module.norm_first:
        x = add(builder, src, attend(norm(src, module.norm1)))
        return add(builder, x, feed_forward(norm(x, module.norm2)))
    x = norm(add(builder, src, attend(src)), module.norm1)
    return norm(add(builder, x, feed_forward(x)), module.norm2)


def encoder(builder: Builder, module: nn.TransformerEncoder, src: Node, mask: Any = None, src_key_padding_mask: Any = None,
            is_causal: bool | None = None) -> Node:  # fmt: skip
    """nn.TransformerEncoder: its layers one after the other."""
    layers: Any = module.layers
    for layer in layers:
        src = encoder_layer(builder, layer, src, mask, src_key_padding_mask)
    norm: Any = module.norm
    return src if norm is None else layer_norm(builder, src, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


ROWS: dict[str, Row] = {
    **dict.fromkeys(("softmax", "_softmax"), softmax),
    "softmin": softmin,
    **dict.fromkeys(("log_softmax", "_log_softmax"), log_softmax),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "normalize": normalize,
    "instance_norm": instance_norm,
    "var": var,
    "scaled_dot_product_attention": attention,
}

MODULES: dict[type[nn.Module], Row] = {
    nn.MultiheadAttention: multihead_attention,
    nn.TransformerEncoderLayer: encoder_layer,
    nn.TransformerEncoder: encoder,
}
