"""Pictures show what was recorded."""

import numpy as np
import pytest

import spikesim as sim
from spikesim import plot
from spikesim.errors import DescriptionError, SpikesimError
from spikesim.recording import Recording, Spikes, recorded

PNG = b"\x89PNG\r\n\x1a\n"


def spikes(number, size, *, seed=0, first=0):
    rng = np.random.default_rng(seed)
    return Spikes(np.sort(rng.integers(1, 1000, number) * 0.1), rng.integers(first, first + size, number), np.arange(first, first + size))


def recording(**populations):
    return Recording(0.0, 100.0, 0.1, spikes=recorded("spikes", populations))


def dots(figure):
    """For each population the times and rows of its dots."""
    return [line.get_xydata() for line in figure.axes[0].lines]


def test_raster_is_saved(tmp_path):
    """A real recording gives a picture file."""
    net = sim.Network()
    net.record(net.population("cells", 20, sim.LIF(i_e=500.0)))
    sim.Simulation(net, dt=0.1, engine="reference").run(50.0).raster().savefig(tmp_path / "raster.png", dpi=60)
    content = (tmp_path / "raster.png").read_bytes()
    assert content.startswith(PNG)
    assert len(content) > 5000


def test_populations_are_stacked_and_named():
    """Every spike is a dot; the populations lie above each other in order, with their names and colours, and rates below."""
    given = {"exc": spikes(60, 40), "inh": spikes(30, 10, seed=1), "silent": spikes(0, 5)}
    figure = plot.raster(recording(**given))
    above, below = figure.axes
    for found, (name, wanted), base in zip(dots(figure), given.items(), (0, 40, 50), strict=True):
        assert sorted(found.tolist()) == sorted(np.column_stack([wanted.times, wanted.ids + base]).tolist()), name
    assert [text.get_text() for text in above.texts] == list(given)
    assert [text.get_position()[1] for text in above.texts] == [20, 45, 52.5]
    colours = [line.get_color() for line in above.lines]
    assert len(set(colours)) == 3
    assert [line.get_color() for line in below.lines] == colours == [text.get_color() for text in above.texts]
    assert above.get_ylim() == (-1, 55)
    assert below.get_xlim() == (0.0, 100.0)
    assert above.get_title() == "spikes"


def test_rates_are_those_of_the_recording():
    """The curves below the dots are the psth with the given bins."""
    made = recording(exc=spikes(200, 10), inh=spikes(100, 4))
    for line, name in zip(plot.raster(made, bin=20.0).axes[1].lines, ("exc", "inh"), strict=True):
        np.testing.assert_allclose(line.get_xydata(), np.transpose(made.psth(name, bin=20.0)))


def test_only_the_first_neurons_are_shown():
    """`most` limits the neurons, not the rates; neurons need not be numbered from 0."""
    given = spikes(300, 50, first=100)
    figure = plot.raster(recording(some=given), most=7)
    (found,) = dots(figure)
    inside = given.ids < 107
    assert len(found) == inside.sum() > 0
    np.testing.assert_array_equal(np.sort(found[:, 1]), np.sort(given.ids[inside] - 100))
    assert figure.axes[0].get_ylim() == (-1, 7)


def test_slices_are_shown_without_gaps():
    """Of a recorded slice every neuron takes one row."""
    given = Spikes(np.array([1.0, 2.0, 3.0]), np.array([4, 10, 7]), np.arange(4, 13, 3))
    assert dots(plot.raster(recording(some=given)))[0].tolist() == [[1.0, 0.0], [2.0, 2.0], [3.0, 1.0]]


def test_many_spikes_are_thinned_and_it_is_said(monkeypatch):
    """Beyond the limit every n-th spike is drawn, and the title says so; a picture at the limit is whole."""
    monkeypatch.setattr(plot, "MOST_DOTS", 100)
    whole = plot.raster(recording(a=spikes(100, 10)))
    assert (len(dots(whole)[0]), whole.axes[0].get_title()) == (100, "spikes")
    thinned = plot.raster(recording(a=spikes(250, 10), b=spikes(20, 10)))
    assert thinned.axes[0].get_title() == "spikes (thinned)"
    assert [len(found) for found in dots(thinned)] == [84, 20]
    assert dots(thinned)[0][-1, 0] > 90.0


def test_nine_populations_have_colours():
    """With more populations than colours these come round again."""
    figure = plot.raster(recording(**{f"p{k}": spikes(3, 2) for k in range(9)}))
    assert len(figure.axes[0].lines) == 9


def test_raster_without_spikes():
    """A recording without spikes is refused with the way to record them."""
    with pytest.raises(DescriptionError, match=r"raster: no spikes were recorded; add net\.record"):
        plot.raster(recording())


def test_raster_of_a_silent_population(tmp_path):
    """Recorded but silent is no error."""
    plot.raster(recording(silent=spikes(0, 3))).savefig(tmp_path / "silent.png", dpi=40)
    assert (tmp_path / "silent.png").read_bytes().startswith(PNG)


def test_raster_of_no_time():
    """A recording of 0 ms is drawn without a warning."""
    plot.raster(Recording(5.0, 5.0, 0.1, spikes=recorded("spikes", {"a": spikes(0, 3)})))


@pytest.mark.parametrize("options", [{"bin": 0.0}, {"bin": -1.0}, {"bin": "wide"}, {"most": 0}, {"most": -3}])
def test_impossible_options(options):
    """Impossible bins and numbers of neurons are refused in words."""
    with pytest.raises(SpikesimError):
        plot.raster(recording(a=spikes(5, 3)), **options)


def test_accuracy_over_steps(tmp_path):
    """The curve goes through the shares in percent, the line is the original's; both are named with their numbers."""
    shares = np.array([0.1, 0.5, 0.9375])
    figure = plot.accuracy_over_steps(shares, 0.96, title="Held out")
    (axes,) = figure.axes
    line, curve = axes.lines
    assert set(line.get_ydata()) == {96.0}
    np.testing.assert_allclose(curve.get_xydata(), [[1, 10.0], [2, 50.0], [3, 93.75]])
    assert [text.get_text() for text in axes.get_legend().texts] == ["ANN 96.0 %", "SNN 93.8 % after 3 steps"]
    assert axes.get_title() == "Held out"
    figure.savefig(tmp_path / "accuracy.png", dpi=60)
    assert (tmp_path / "accuracy.png").read_bytes().startswith(PNG)
    assert (tmp_path / "accuracy.png").stat().st_size > 3000
