"""The graph of a module computes what the module computes, operator by operator and for whole networks."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spikesim.convert.graph import evaluate
from spikesim.convert.lowerings import ROWS
from spikesim.convert.operators import Along, Convolution, Full, Maximum, Pointwise
from spikesim.convert.trace import read_out, trace

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support", "ignore:Using padding='same'")


class Call(nn.Module):
    """A function of the input and of a few constants as a module."""

    def __init__(self, function):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
        self.function = function
        self.register_buffer("square", draw(6, 6))
        self.register_buffer("graph", (draw(4, 4) > 0.0).float().to_sparse())
        self.channel = nn.Parameter(draw(4, 1, 1))
        self.full = nn.Parameter(draw(4, 5, 6))
        self.row = nn.Parameter(draw(6))
        self.kernel = nn.Parameter(draw(2, 4, 3, 2))
        self.plain = draw(6, 3)

    def forward(self, x):
        return self.function(self, x)


IMAGE, VECTOR, TOKENS = (4, 5, 6), (6,), (4, 6)
FUNCTIONS = {  # name: (function of the module and x, shape of one input)
    "relu": (lambda m, x: functional.relu(x), VECTOR),
    "torch.relu": (lambda m, x: torch.relu(x), VECTOR),
    "x.relu": (lambda m, x: x.relu(), VECTOR),
    "relu_": (lambda m, x: x.mul(2.0).relu_(), VECTOR),
    "functional.relu_": (lambda m, x: functional.relu_(x + 0.0), VECTOR),
    "in place seen by the first name": (lambda m, x: (lambda y: functional.relu(y, inplace=True) + y)(x * 2.0), VECTOR),
    "in place without a result": (lambda m, x: (lambda y: (y.clamp_(min=0.0), y)[1])(x * 2.0), VECTOR),
    "relu6": (lambda m, x: functional.relu6(9.0 * x), VECTOR),
    "hardtanh": (lambda m, x: functional.hardtanh(x, -0.3, 0.4), VECTOR),
    "clamp": (lambda m, x: x.clamp(min=-0.2), VECTOR),
    "clip": (lambda m, x: torch.clip(x, -0.2, 0.5), VECTOR),
    "clamp to tensors": (lambda m, x: torch.clamp(x, max=m.row), VECTOR),
    "clamp_min, clamp_max": (lambda m, x: x.clamp_min(-0.1).clamp_max(0.4), VECTOR),
    "leaky_relu": (lambda m, x: functional.leaky_relu(x, 0.2), VECTOR),
    "rrelu": (lambda m, x: functional.rrelu(x), VECTOR),
    "prelu": (lambda m, x: functional.prelu(x, m.channel.flatten()), IMAGE),
    "prelu of one slope": (lambda m, x: functional.prelu(x, m.row[:1]), VECTOR),
    "hardsigmoid": (lambda m, x: functional.hardsigmoid(5.0 * x), VECTOR),
    "hardswish": (lambda m, x: functional.hardswish(5.0 * x), VECTOR),
    "sigmoid": (lambda m, x: torch.sigmoid(x) + functional.sigmoid(x) + x.sigmoid(), VECTOR),
    "tanh": (lambda m, x: x.tanh(), VECTOR),
    "silu": (lambda m, x: functional.silu(x) + x * x.sigmoid(), VECTOR),
    "threshold": (lambda m, x: functional.threshold(x, 0.1, 0.1), VECTOR),
    "gelu": (lambda m, x: functional.gelu(x) + functional.gelu(x, approximate="tanh"), VECTOR),
    "softplus": (lambda m, x: functional.softplus(x, beta=2.0), VECTOR),
    "logsigmoid": (lambda m, x: functional.logsigmoid(x), VECTOR),
    "elu": (lambda m, x: functional.elu(x, 0.7), VECTOR),
    "celu": (lambda m, x: functional.celu(x, 0.7), VECTOR),
    "selu": (lambda m, x: functional.selu(x), VECTOR),
    "mish": (lambda m, x: functional.mish(x), VECTOR),
    "softsign": (lambda m, x: functional.softsign(x), VECTOR),
    "tanhshrink": (lambda m, x: functional.tanhshrink(x), VECTOR),
    "softshrink": (lambda m, x: functional.softshrink(x, 0.3), VECTOR),
    "glu": (lambda m, x: functional.glu(x, 1), IMAGE),
    "exp, abs": (lambda m, x: torch.exp(x).add(abs(x)), VECTOR),
    "powers": (lambda m, x: x**2 + x**3 + x.pow(4) + torch.square(x) + x * x, VECTOR),
    "inverses": (lambda m, x: (x**2 + 1) ** -1 + 1.0 / (x * x + 2.0) + torch.rsqrt(x.exp()) + x.exp() ** -0.5 + x.exp() ** -2, VECTOR),
    "neg, rsub, div": (lambda m, x: (-x).neg() / 3.0 - (2.0 - x) / m.row + torch.rsub(x, 3.0), VECTOR),
    "add of constants": (lambda m, x: 1.0 + x + m.channel + m.full, IMAGE),
    "sub of constants": (lambda m, x: m.full - x - m.row, IMAGE),
    "alpha": (lambda m, x: torch.add(x, x.relu(), alpha=0.3).sub(m.row, alpha=2.0), VECTOR),
    "scaling": (lambda m, x: m.channel * x * m.full * m.row * 0.5, IMAGE),
    "scaling from the left": (lambda m, x: torch.mul(m.full, x), IMAGE),
    "division by constant": (lambda m, x: x / m.full, IMAGE),
    "constant broadcasts x": (lambda m, x: x.mean(1, keepdim=True) * m.full + x.mean(3, keepdim=True) + m.channel, IMAGE),
    "add and subtract": (lambda m, x: x.relu() + x.tanh() - x.sigmoid() + x + x, VECTOR),
    "broadcast of activations": (lambda m, x: x * x.mean((2, 3), keepdim=True) + x.sum(1, keepdim=True), IMAGE),
    "maximum": (lambda m, x: torch.maximum(x, x.tanh() * 2.0) + torch.max(x, -x), VECTOR),
    "minimum": (lambda m, x: torch.minimum(x, 0.3 * x.exp()) + torch.min(x, m.row) + torch.maximum(m.row, x), VECTOR),
    "where": (lambda m, x: torch.where(m.row > 0.0, x, x.tanh()) + torch.where(m.row > 0.2, 0.5, x), VECTOR),
    "masked_fill": (lambda m, x: x.masked_fill(m.row > 0.0, -3.0), VECTOR),
    "addcmul, lerp": (lambda m, x: torch.addcmul(x, x.relu(), x.tanh(), value=0.3) + torch.lerp(x, x.tanh(), 0.3), VECTOR),
    "linear on an image": (lambda m, x: functional.linear(x, m.square, m.row), IMAGE),
    "x @ constant": (lambda m, x: x @ m.square, VECTOR),
    "image @ constant": (lambda m, x: torch.matmul(x, m.square[:, :2]), IMAGE),
    "image @ plain attribute": (lambda m, x: x @ m.plain, IMAGE),
    "x @ vector": (lambda m, x: x @ m.row, IMAGE),
    "constant @ x": (lambda m, x: m.square[:3, :4] @ x, TOKENS),
    "sparse @ x": (lambda m, x: m.graph.to_dense() @ x, TOKENS),
    "addmm": (lambda m, x: torch.addmm(m.row, x, m.square, alpha=0.5), VECTOR),
    "matmul of activations": (lambda m, x: x.relu() @ x.transpose(1, 2), TOKENS),
    "matmul broadcasts": (lambda m, x: torch.matmul(x[:, :1].tanh(), x.transpose(-1, -2)), IMAGE),
    "bmm": (lambda m, x: torch.bmm(x, x.mT), TOKENS),
    "baddbmm": (lambda m, x: torch.baddbmm(m.square[:4, :4], x, x.mT), TOKENS),
    "conv": (lambda m, x: functional.conv2d(x, m.kernel, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), IMAGE),
    "conv same": (lambda m, x: functional.conv2d(x, m.kernel, padding="same"), IMAGE),
    "conv transposed": (lambda m, x: functional.conv_transpose2d(x, m.kernel.transpose(0, 1), stride=2, output_padding=1), IMAGE),
    "reshape by size": (lambda m, x: x.view(x.size(0), -1).reshape(x.shape[0], 2, -1), IMAGE),
    "reshape by shape": (lambda m, x: (lambda b, c, h, w: x.reshape(b, c * h, w))(*x.shape), IMAGE),
    "control flow by shape": (lambda m, x: x.flatten(1) if len(x.shape) == 4 and x.dim() > 2 else x, IMAGE),
    "reshape to one number": (lambda m, x: x.mean((1, 2, 3)), IMAGE),
    "unflatten, squeeze, unsqueeze": (lambda m, x: x.unflatten(1, (2, 1, 2)).squeeze(2).unsqueeze(-1), IMAGE),
    "permute": (lambda m, x: x.permute(0, 2, 3, 1), IMAGE),
    "transpose": (lambda m, x: x.transpose(1, -1).swapaxes(1, 2).movedim(3, 1), IMAGE),
    "mT": (lambda m, x: x.mT, IMAGE),
    "indexing": (lambda m, x: x[:, 1] + x[:, -1, :], IMAGE),
    "slicing": (lambda m, x: x[:, 1:4:2, ..., ::2], IMAGE),
    "new axis": (lambda m, x: x[:, None, :] * x[:, :, None], VECTOR),
    "list of indices": (lambda m, x: x[:, [2, 0, 2]], VECTOR),
    "constant tensor of indices": (lambda m, x: x[:, m.row.argsort()].index_select(1, torch.tensor([3, 1])), VECTOR),
    "select, narrow": (lambda m, x: x.select(1, 2).narrow(2, 1, 3), IMAGE),
    "chunk": (lambda m, x: x.chunk(2, 1)[0] * x.chunk(2, dim=1)[1], IMAGE),
    "split": (lambda m, x: sum(part.sum(1) for part in x.split([1, 3], dim=1)), IMAGE),
    "unbind": (lambda m, x: (lambda a, b, c, d: a * b + c - d)(*x.unbind(1)), IMAGE),
    "expand": (lambda m, x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1), IMAGE),
    "shape of another": (lambda m, x: x.mean(1, keepdim=True).expand_as(x).reshape_as(x.flatten(1)), IMAGE),
    "repeat": (lambda m, x: x.repeat(1, 2, 1, 3), IMAGE),
    "repeat_interleave, tile": (lambda m, x: torch.tile(x.repeat_interleave(2, dim=2), (1, 1, 1, 2)), IMAGE),
    "flip, roll": (lambda m, x: x.flip(2).roll(1, 3), IMAGE),
    "cat": (lambda m, x: torch.cat([x, x.relu(), x], 1), IMAGE),
    "cat along space": (lambda m, x: torch.cat((x, x[..., :2]), dim=-1), IMAGE),
    "cat of a constant": (lambda m, x: torch.cat([m.row[None, None].expand(x.shape[0], -1, -1), x], 1), TOKENS),
    "stack": (lambda m, x: torch.stack([x, x.tanh()], 1), IMAGE),
    "stack last": (lambda m, x: torch.stack((x, x.tanh(), x), dim=-1), VECTOR),
    "pixel_shuffle": (lambda m, x: functional.pixel_shuffle(x, 2), IMAGE),
    "channel_shuffle": (lambda m, x: torch.channel_shuffle(x, 2), IMAGE),
    "pad": (lambda m, x: functional.pad(x, (1, 2, 0, 1)), IMAGE),
    "pad with a number": (lambda m, x: functional.pad(x, (1, -1), value=0.7), IMAGE),
    "pad by reflection": (lambda m, x: functional.pad(x, (1, 2, 2, 1), mode="reflect"), IMAGE),
    "pad by the edge": (lambda m, x: functional.pad(x, (1, 2, 2, 1), mode="replicate"), IMAGE),
    "pad circular": (lambda m, x: functional.pad(x, (1, 2, 2, 1), mode="circular"), IMAGE),
    "mean": (lambda m, x: x.mean([2, 3]) + x.mean(3).mean(2), IMAGE),
    "mean of apart axes": (lambda m, x: x.mean((1, 3), keepdim=True), IMAGE),
    "sum": (lambda m, x: x.sum(-1) + torch.sum(x, dim=3), IMAGE),
    "cumsum": (lambda m, x: x.cumsum(2), IMAGE),
    "var": (lambda m, x: x.var(2) + x.var((2,), unbiased=False) + torch.var(x, dim=2, correction=2), IMAGE),
    "amax": (lambda m, x: x.amax((2, 3)) + torch.amax(x, dim=(1, 3)).sum(1, keepdim=True), IMAGE),
    "amin": (lambda m, x: x.amin(2, keepdim=True), IMAGE),
    "max over an axis": (lambda m, x: x.max(1)[0] + torch.max(x, dim=1).values + x.min(dim=1, keepdim=True)[0].squeeze(1), IMAGE),
    "max_pool with all": (lambda m, x: functional.max_pool2d(x, (3, 2), stride=2, padding=1, dilation=(1, 2), ceil_mode=True), IMAGE),
    "adaptive_max_pool": (lambda m, x: functional.adaptive_max_pool2d(x, (3, 4)), IMAGE),
    "avg_pool with all": (lambda m, x: functional.avg_pool2d(x, (3, 2), stride=2, padding=1, ceil_mode=True), IMAGE),
    "avg_pool without padding": (lambda m, x: functional.avg_pool2d(x, 3, 2, (1, 1), True, False), IMAGE),
    "avg_pool with divisor": (lambda m, x: functional.avg_pool2d(x, 2, padding=1, divisor_override=3), IMAGE),
    "adaptive_avg_pool": (lambda m, x: functional.adaptive_avg_pool2d(x, (3, None)), IMAGE),
    "interpolate": (lambda m, x: functional.interpolate(x, scale_factor=2), IMAGE),
    "interpolate by a fraction": (lambda m, x: functional.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"), IMAGE),
    "interpolate to a size": (lambda m, x: functional.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True), IMAGE),
    "batch_norm": (lambda m, x: functional.batch_norm(x, m.row[:4], m.row[:4] ** 2 + 0.1, None, m.row[:4]), IMAGE),
    "layer_norm": (lambda m, x: functional.layer_norm(x, (5, 6), m.full[0]), IMAGE),
    "rms_norm": (lambda m, x: functional.rms_norm(x, (6,), m.row), IMAGE),
    "normalize": (lambda m, x: functional.normalize(x, dim=1), IMAGE),
    "group_norm": (lambda m, x: functional.group_norm(x, 2, m.channel.flatten()), IMAGE),
    "instance_norm": (lambda m, x: functional.instance_norm(x), IMAGE),
    "softmax": (lambda m, x: functional.softmax(x, dim=1) * 2.0, IMAGE),
    "softmax over the last": (lambda m, x: x.softmax(-1) + functional.softmin(x, dim=-1), VECTOR),
    "attention": (lambda m, x: functional.scaled_dot_product_attention(x, x.relu(), x.tanh()), TOKENS),
    "causal attention": (lambda m, x: functional.scaled_dot_product_attention(x, x, x, is_causal=True), TOKENS),
    "masked attention": (lambda m, x: functional.scaled_dot_product_attention(x, x, x, attn_mask=m.square[:4, :4] > -0.5), TOKENS),
    "biased attention": (lambda m, x: functional.scaled_dot_product_attention(x, x, x, attn_mask=m.square[:4, :4]), TOKENS),
    "no-ops": (lambda m, x: functional.dropout(x.contiguous().clone().detach().to(x.dtype), 0.3, m.training) * 2.0, VECTOR),
    "constants like x": (lambda m, x: torch.ones_like(x) * m.row - x + x.new_zeros(x.shape) + torch.full_like(x, 2.0), VECTOR),
    "constants are worked out": (lambda m, x: x * (m.row.softmax(0) + torch.arange(6) / m.plain.shape[0]), VECTOR),
    "setting a slice, by torch.export": (lambda m, x: _zeroed(x), VECTOR),
}  # fmt: skip


def _zeroed(x):
    y = x.clone()
    y[:, 2:4] = 0.0
    return y + x


LAYERS = {  # name: (module, shape of one input)
    "Linear": (lambda: nn.Linear(6, 4), VECTOR),
    "Linear on tokens": (lambda: nn.Linear(6, 4), TOKENS),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), TOKENS),
    "Conv2d": (lambda: nn.Conv2d(4, 2, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1)), IMAGE),
    "Conv2d reflect": (lambda: nn.Conv2d(4, 2, 3, padding=(1, 2), padding_mode="reflect"), IMAGE),
    "Conv2d circular": (lambda: nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular"), IMAGE),
    "Conv2d same, even": (lambda: nn.Conv2d(4, 2, (2, 5), padding="same", dilation=(3, 1)), IMAGE),
    "Conv2d same, replicate": (lambda: nn.Conv2d(4, 2, (2, 3), padding="same", padding_mode="replicate"), IMAGE),
    "Conv2d valid": (lambda: nn.Conv2d(4, 2, 2, padding="valid"), IMAGE),
    "Conv3d": (lambda: nn.Conv3d(2, 4, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0)), (2, 3, 4, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), TOKENS),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 3, (3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2)), IMAGE),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 2, 3, 2)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), VECTOR),
    "BatchNorm1d on tokens": (lambda: nn.BatchNorm1d(4), TOKENS),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2), (2, 3, 4, 3)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), TOKENS),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "InstanceNorm2d tracking": (lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), IMAGE),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(2), (2, 3, 4, 3)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "LayerNorm": (lambda: nn.LayerNorm((5, 6)), IMAGE),
    "LayerNorm of a vector": (lambda: nn.LayerNorm(6, bias=False), VECTOR),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 2, 1, True, False), TOKENS),
    "AvgPool3d": (lambda: nn.AvgPool3d((1, 2, 2), padding=(0, 1, 1)), (2, 3, 4, 3)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(4), TOKENS),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d((2, 3, None)), (2, 3, 4, 3)),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True), TOKENS),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE),
    "MaxPool3d": (lambda: nn.MaxPool3d(2, stride=1, padding=(0, 1, 1)), (2, 3, 4, 3)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(4), TOKENS),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(2), (2, 3, 4, 3)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), TOKENS),
    "Upsample linear": (lambda: nn.Upsample(scale_factor=1.5, mode="linear"), TOKENS),
    "Upsample bilinear": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), IMAGE),
    "Upsample trilinear": (lambda: nn.Upsample(size=(4, 5, 6), mode="trilinear"), (2, 3, 4, 3)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (2, 4, 6)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), IMAGE),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 0, 2, 1)), IMAGE),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(2, 0.3), TOKENS),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(2), IMAGE),
    "ReplicationPad3d": (lambda: nn.ReplicationPad3d(1), (2, 2, 3, 2)),
    "Flatten, Unflatten": (lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 60))), IMAGE),
    "no-ops": (lambda: nn.Sequential(nn.Identity(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.ReLU()), IMAGE),
    "Softmax2d": (lambda: nn.Sequential(nn.Softmax2d(), nn.ReLU()), IMAGE),
    "GLU": (lambda: nn.GLU(), VECTOR),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)), VECTOR),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4)), VECTOR),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), TOKENS),
    "TransformerEncoder": (lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(6, 3, 8, activation="gelu", batch_first=True, norm_first=True), 2, nn.LayerNorm(6),
        enable_nested_tensor=False), TOKENS),
}  # fmt: skip


ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardsigmoid, nn.Hardswish, nn.Sigmoid, nn.Tanh,
               nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.CELU, nn.SELU, nn.Mish, nn.Softsign, nn.Tanhshrink, nn.Softshrink,
               nn.LogSigmoid)  # fmt: skip


@pytest.fixture
def check(images):
    """Hold the graph of a module against the module, and return it."""

    def check(module, shape, **options):
        graph = trace(module, images(shape, 2), **options)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # for the tensors that a forward makes
        try:
            twin = copy.deepcopy(module).double().eval()
            for part in twin.modules():
                for name, value in list(vars(part).items()):
                    if isinstance(value, torch.Tensor):
                        setattr(part, name, value.double())
            with torch.no_grad():
                wanted = twin(images(shape))
        finally:
            torch.set_default_dtype(before)
        found = read_out(graph, images(shape))
        assert wanted.std() > 0.0
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))
        for node in graph:
            assert node.bias is None or (node.bias.shape == node.shape and node.bias.dtype == np.float64)
            assert not set("/[]") & set(node.name) and node.name == node.name.strip(". ")
        return graph

    return check


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, check):
    function, shape = FUNCTIONS[name]
    check(Call(function), shape)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, check, randomized):
    make, shape = LAYERS[name]
    check(randomized(make), shape)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind, check, randomized):
    check(randomized(lambda: nn.Sequential(nn.Linear(6, 20), kind())), VECTOR)


def test_networks(network, check):
    check(network.module, network.shape)


def test_a_layer_is_one_node_with_its_own_options(check, randomized):
    module = randomized(lambda: nn.Sequential(nn.Conv2d(4, 2, 3, padding="same"), nn.Flatten(), nn.Linear(60, 3)))
    graph = check(module, IMAGE)
    conv, head = graph.nodes["0"], graph.nodes["2"]
    assert isinstance(conv.operator, Convolution) and conv.operator.padding == (1, 1) and isinstance(head.operator, Full)
    np.testing.assert_array_equal(head.operator.weights, module[2].weight.detach().numpy())
    np.testing.assert_array_equal(conv.bias[:, 2, 1], module[0].bias.detach().numpy())


@pytest.mark.parametrize(("function", "shape", "inner"), [
    (lambda m, x: x * m.channel, (4, 4), 30),
    (lambda m, x: x.mean((2, 3)), (1, 30), 1),
    (lambda m, x: x.mean(1), (1, 4), 30),
    (lambda m, x: functional.avg_pool2d(x, (5, 2)), (3, 30), 1),
    (lambda m, x: x[:, 1:3], (2, 4), 30),
    (lambda m, x: x[..., ::2], (3, 6), 1),
    (lambda m, x: x.transpose(1, 2), (20, 20), 6),
    (lambda m, x: x.flip(2), (5, 5), 6),
    (lambda m, x: x.mean(2, keepdim=True).expand(-1, -1, 7, -1), (7, 1), 6),
    (lambda m, x: m.square[:3, :5] @ x, (3, 5), 6),
])  # fmt: skip
def test_matrices_are_as_small_as_they_can_be(function, shape, inner, check):
    graph = check(Call(function), IMAGE)
    operator = graph.nodes[graph.output].operator
    assert isinstance(operator, Along) and operator.matrix.shape == shape and operator.inner == inner


def test_max_pooling_has_an_input_for_each_place_of_the_window(check):
    graph = check(nn.MaxPool2d((2, 3), padding=(1, 1)), IMAGE)
    pool = graph.nodes[graph.output]
    assert isinstance(pool.operator, Maximum) and len(pool.inputs) == 6
    for name in pool.inputs:  # each picks one position of its window
        np.testing.assert_array_equal(graph.nodes[name].operator.matrix.sum(axis=1), 1.0)


def test_names_and_places(networks, check):
    graph = check(networks("residual").module, networks("residual").shape)
    second = ["conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1", "add", "relu_2"]
    assert [node.name for node in graph if node.name.startswith("1.")] == [f"1.{name}" for name in second]
    assert graph.nodes["1.downsample.0"].where.startswith("1.downsample.0: Conv2d (conftest.py:")
    assert graph.nodes["1.add"].where.startswith("1: add (conftest.py:")


def test_a_module_used_again_has_nodes_for_each_use(networks, check):
    network = networks("module used again")
    graph = check(network.module, network.shape)
    assert [node.name for node in graph] == ["input", "layer", "act", "layer_2", "act_2", "layer_3", "act_3"]


def test_parts_of_groups_name_the_group(check):
    graph = check(nn.Sequential(nn.Softmax(1), nn.ReLU()), IMAGE)
    assert [node.name for node in graph] == ["input", "0.exp", "0.sum", "0.reciprocal", "0.select", "0", "1"]
    assert graph.nodes["0.exp"].where == "0: Softmax, exp"


def test_softmax_at_the_end_stays_outside(check):
    for kind, name in ((nn.Softmax, "softmax"), (nn.LogSoftmax, "log_softmax")):
        graph = check(nn.Sequential(nn.Linear(6, 3), kind(-1)), VECTOR)
        assert graph.outside == name and graph.output == "0" and not any(isinstance(node.operator, Pointwise) for node in graph)


def test_every_name_in_the_table_is_an_operator_of_torch():
    places = (torch, functional, torch.Tensor, torch.nn.functional, torch.special, torch.ops.aten)
    strange = [name for name in ROWS if isinstance(name, str) and not any(hasattr(place, name) for place in places)]
    assert set(strange) <= {"getitem", "identity"}


def test_evaluate_takes_any_batch():
    graph = trace(nn.Linear(6, 2), np.zeros((1, 6)))
    assert evaluate(graph, np.zeros((7, 6)))[graph.output].shape == (7, 2)
