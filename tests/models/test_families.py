"""Each family of the zoo: shapes, weights from a seed, and what is particular to its paper."""

import numpy as np
import pytest
import torch
from torch import fx, nn

from spikesim.models import (
    autoencoder,
    bam,
    c3d,
    dcgan,
    densenet,
    efficientnet,
    gcn,
    lenet,
    mobilenet,
    perceptron,
    resnet,
    senet,
    shufflenet,
    squeezenet,
    vgg,
)
from spikesim.models.data import digit_graph

DIGIT, LOGITS = (1, 8, 8), (10,)
NODES = 40


def ring(nodes=NODES):
    return np.roll(np.eye(nodes), 1, axis=0) + np.roll(np.eye(nodes), -1, axis=0)


# builder, shape of an input, shape of an output, number of trained parameters
FAMILIES = {
    "perceptron": (perceptron.digits_perceptron, DIGIT, LOGITS, 650),
    "mlp": (perceptron.digits_mlp, DIGIT, LOGITS, 6_570),
    "mlp_regression": (perceptron.diabetes_mlp, (10,), (1,), 897),
    "lenet": (lenet.digits_lenet, DIGIT, LOGITS, 13_706),
    "vgg": (vgg.digits_vgg, DIGIT, LOGITS, 25_274),
    "resnet": (resnet.digits_resnet, DIGIT, LOGITS, 19_810),
    "resnet20": (resnet.resnet20, (1, 28, 28), LOGITS, 272_186),
    "densenet": (densenet.digits_densenet, DIGIT, LOGITS, 13_106),
    "mobilenet": (mobilenet.digits_mobilenet, DIGIT, LOGITS, 10_474),
    "mobilenet_v2": (mobilenet.digits_mobilenet_v2, DIGIT, LOGITS, 16_106),
    "shufflenet": (shufflenet.digits_shufflenet, DIGIT, LOGITS, 6_922),
    "squeezenet": (squeezenet.digits_squeezenet, DIGIT, LOGITS, 14_482),
    "senet": (senet.digits_senet, DIGIT, LOGITS, 29_110),
    "bam": (bam.digits_bam, DIGIT, LOGITS, 17_327),
    "efficientnet": (efficientnet.digits_efficientnet, DIGIT, LOGITS, 18_154),
    "c3d": (c3d.digits_c3d, (1, 4, 8, 8), LOGITS, 6_130),
    "autoencoder": (autoencoder.digits_autoencoder, DIGIT, DIGIT, 13_809),
    "gcn": (lambda *, seed=0: gcn.graph_gcn(ring(), seed=seed), (NODES, 64), (NODES, 10), 2_410),
    "dcgan": (dcgan.digits_generator, (16, 1, 1), DIGIT, 37_569),
    "discriminator": (dcgan.digits_discriminator, DIGIT, (1,), 33_697),
}


@pytest.fixture(autouse=True)
def _one_thread():
    """More only wait for each other in nets as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def example(shape, number=5):
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", FAMILIES)
def test_each_sample_is_answered_by_itself(name):
    """In eval mode a batch of one gives what it gives among five, in the stated shape."""
    build, shape, answer, _ = FAMILIES[name]
    module, inputs = build().eval(), example(shape)
    with torch.no_grad():
        five, one = module(inputs), module(inputs[:1])
    assert five.shape == (5, *answer)
    assert one.shape == (1, *answer)
    assert torch.allclose(five[:1], one, atol=1e-5)
    assert five.std() > 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_the_seed_chooses_the_weights(name):
    build, _, _, number = FAMILIES[name]
    state = torch.get_rng_state()
    first, again, other = (dict(build(seed=seed).named_parameters()) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert sum(parameter.numel() for parameter in first.values()) == number


@pytest.mark.parametrize("name", FAMILIES)
def test_the_control_flow_is_static(name):
    """torch.fx traces it, and what it traced computes the same."""
    build, shape, _, _ = FAMILIES[name]
    module, inputs = build().eval(), example(shape)
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(module)(inputs), module(inputs))


def test_resnet20_has_twenty_layers():
    """Counted as the paper does: without the projections of the shortcuts."""
    layers = [name for name, part in resnet.resnet20().named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert sum("shortcut" not in name for name in layers) == 20
    assert sum("shortcut" in name for name in layers) == 2
    assert sum(p.numel() for p in resnet.resnet20(width=32).parameters()) > 3.9 * FAMILIES["resnet20"][3]


def test_a_residual_block_without_residual_passes_on():
    block = resnet.BasicBlock(4, 4, 1).eval()
    nn.init.zeros_(block.bn2.weight)
    x = example((4, 6, 6))
    assert torch.equal(block(x), x.relu())


def test_a_dense_layer_keeps_what_it_got():
    x = example((6, 4, 4))
    y = densenet.DenseLayer(6, 3).eval()(x)
    assert y.shape == (5, 9, 4, 4)
    assert torch.equal(y[:, :6], x)


def test_depthwise_filters_see_their_own_channel_alone():
    """A change of one channel changes one channel before the 1 x 1 convolution."""
    block = mobilenet.DepthwiseSeparable(4, 8, 1)
    x = example((4, 5, 5))
    y = x.clone()
    y[:, 2] += 1.0
    changed = (block.depthwise(x) != block.depthwise(y)).flatten(2).any(dim=2)
    assert changed.tolist() == [[False, False, True, False]] * 5


def test_an_inverted_residual_is_linear_at_its_ends():
    """The projection has no ReLU: its outputs are of both signs, and the shortcut is added to them."""
    block = mobilenet.InvertedResidual(4, 4, 1, 3).eval()
    x = example((4, 5, 5))
    inner = block.project(block.filter(block.expand(x)))
    assert torch.equal(block(x), x + inner)
    assert inner.min() < 0.0 < inner.max()
    assert not mobilenet.InvertedResidual(4, 4, 2, 3).shortcut


def test_the_shuffle_is_torchs():
    x = example((6, 2, 3))
    assert torch.equal(shufflenet.ChannelShuffle(3)(x), nn.functional.channel_shuffle(x, 3))


def test_a_unit_that_halves_the_image_keeps_the_input_beside_it():
    unit = shufflenet.ShuffleUnit(8, 16, 2, 2).eval()
    x = example((8, 4, 4)).abs()
    assert torch.equal(unit(x)[:, :8], nn.functional.avg_pool2d(x, 3, stride=2, padding=1))


def test_fire_expands_what_it_squeezed():
    fire = squeezenet.Fire(8, 2, 5)
    nn.init.zeros_(fire.expand1x1.weight)
    nn.init.constant_(fire.expand1x1.bias, 0.5)
    y = fire(example((8, 4, 4)))
    assert y.shape == (5, 10, 4, 4)
    assert (y[:, :5] == 0.5).all()
    assert y[:, 5:].std() > 0.0


@pytest.mark.parametrize("gate", [senet.SqueezeExcitation(8, 2), efficientnet.Gate(8, 4)])
def test_a_gate_without_weights_is_half_open(gate):
    nn.init.zeros_(gate.expand.weight)
    nn.init.zeros_(gate.expand.bias)
    x = example((8, 3, 3))
    assert torch.equal(gate(x), 0.5 * x)
    nn.init.constant_(gate.expand.bias, 100.0)
    assert torch.equal(gate(x), x)


def test_attention_sums_channels_and_places():
    """With closed branches the gate is sigmoid(0); a bias of one channel opens that channel alone."""
    attention = bam.BAM(8, reduction=2, dilation=2).eval()
    for last in (attention.channel.expand, attention.spatial.collapse):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    x = example((8, 6, 6))
    assert torch.equal(attention(x), 1.5 * x)
    with torch.no_grad():
        attention.channel.expand.bias[3] = 100.0
    gain = attention(x) / x
    assert torch.allclose(gain[:, 3], torch.tensor(2.0))
    assert torch.allclose(gain[:, [0, 7]], torch.tensor(1.5))


def test_mbconv_adds_its_input_where_the_shapes_agree():
    same, other = (efficientnet.MBConv(8, out, stride=1, expansion=2).eval() for out in (8, 12))
    for block in (same, other):
        nn.init.zeros_(block.project[1].weight)
    x = example((8, 4, 4))
    assert torch.equal(same(x), x)
    assert (other(x) == 0.0).all()


def test_a_regular_graph_keeps_constant_features():
    """On a ring each row of the propagation sums to one; on any graph it is symmetric with eigenvalues in -1..1."""
    assert gcn.normalised(ring()).sum(axis=1) == pytest.approx(np.ones(NODES))
    found = np.linalg.eigvalsh(gcn.normalised(digit_graph(nodes=150).adjacency))
    assert found.max() == pytest.approx(1.0)
    assert found.min() > -1.0


def test_the_order_of_the_nodes_does_not_matter():
    graph = digit_graph(nodes=150)
    order = np.random.default_rng(1).permutation(150)
    straight, mixed = gcn.graph_gcn(graph.adjacency), gcn.graph_gcn(graph.adjacency[order][:, order])
    x = torch.as_tensor(graph.features)[None]
    assert torch.allclose(straight(x)[:, order], mixed(x[:, order]), atol=1e-5)


def test_a_graph_net_reaches_two_steps_far():
    """Two layers: a node hears of its neighbours' neighbours and of nothing beyond."""
    module = gcn.graph_gcn(ring(), features=3)
    x = example((NODES, 3), 1)
    y = x.clone()
    y[0, 10] += 1.0
    heard = (module(x) != module(y)).any(dim=2)[0]
    assert set(np.flatnonzero(heard)) == {8, 9, 10, 11, 12}


def test_the_generator_paints_within_its_range():
    images = dcgan.digits_generator().eval()(10.0 * example((16, 1, 1)))
    assert -1.0 <= images.min() < images.max() <= 1.0
