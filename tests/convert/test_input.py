"""The image as spikes: Poisson spikes whose rate it is, and single spikes whose time it is."""

import numpy as np
import pytest
import torch
from torch import nn

import spikesim as sim
from spikesim.convert import from_torch
from spikesim.errors import DescriptionError, UnsupportedError


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).eval()


def pictures(count, most=1.0):
    return most * np.random.default_rng(5).random((count, 1, 4, 4))


@pytest.mark.parametrize(("wanted", "step"), [(0.0, None), (0.4, None), (0.6, 8), (4.0, 5), (7.4, 2), (8.0, 1), (50.0, 1)])
def test_the_first_spike_comes_earlier_the_stronger_the_input(wanted, step):
    """A spike in step t of a window of 8 has the size 9 - t, the input in quanta."""
    net = sim.Network()
    encoder = net.population("encoder", 1, sim.FirstSpike(quantum=0.5, window=8))
    net.stimulate(encoder, sim.DirectCurrent(0.5 * wanted))
    net.record(encoder, "spikes")
    for engine in ("cpu", "reference"):
        spikes = sim.Simulation(net, dt=1.0, engine=engine).run(20.0, progress=False).spikes["encoder"]
        assert spikes.times.tolist() == ([] if step is None else [step])
        assert spikes.sizes.tolist() == ([] if step is None else [9 - step])


def test_latency_settles_to_the_quantised_network():
    """Each pixel fires once, and the outcome is that of the image rounded to the levels."""
    snn = from_torch(network(), pictures(50), coding="signed", levels=64, input="latency")
    some = pictures(6)
    result = snn.run(some, steps=400, counts=True, progress=False)
    assert set(np.unique(result.counts[snn.graph.input.name])) <= {0, 1}
    worth = float(snn.quanta[snn.graph.input.name].worth.flat[0])
    rounded = np.floor(some / worth + 0.5) * worth
    np.testing.assert_allclose(result.outputs[-1], snn.quantised(rounded), rtol=0.0, atol=1e-6)


def test_poisson_input_approaches_the_module():
    """The error of the mean falls with the number of steps, and an image has the same spikes wherever it stands in a batch."""
    module, some = network(), pictures(8)
    snn = from_torch(module, pictures(50), input="poisson")
    with torch.no_grad():
        wanted = module.double()(torch.tensor(some)).numpy()
    outputs = snn.run(some, steps=2000, progress=False).outputs
    errors = [np.linalg.norm(outputs[steps - 1] - wanted) for steps in (20, 2000)]
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.1 * np.linalg.norm(wanted)
    np.testing.assert_array_equal(snn.run(some[:3], steps=50, progress=False).outputs, outputs[:50, :3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "poison"}, "did you mean 'poisson'"),
        ({"input": "poisson", "coding": "signed"}, "'poisson' does not go with 'signed' coding"),
        ({"input": "latency"}, "'latency' does not go with 'rate' coding"),
        ({"input": "poisson", "tuned": True}, "needs input='current'"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises((DescriptionError, KeyError), match=message):
        from_torch(network(), pictures(5), **options)


def test_images_that_spikes_cannot_express_are_refused():
    with pytest.raises(DescriptionError, match="no negative spikes, but the images go down to"):
        from_torch(network(), pictures(5) - 0.5, input="poisson")
    snn = from_torch(network(), pictures(5), input="poisson")
    with pytest.raises(DescriptionError, match=r"expresses values from 0 to 0\.9.*reach from"):
        snn.run(pictures(5, most=2.0), steps=2)
    with pytest.raises(UnsupportedError, match="takes the image as a current"):
        snn.stepper()
