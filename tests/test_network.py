"""The network: plain data that compares by value, copies, orders its stages, names its projections."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikesim as sim
from spikesim.errors import DescriptionError, FileFormatError, SpikesimError
from spikesim.network import Network
from spikesim.population import View, overlap


def example() -> Network:
    net = Network()
    noise = net.population("noise", 4, sim.Poisson(rate=np.arange(4.0)))
    exc = net.population("exc", (2, 3), sim.LIF(tau_m=np.full((2, 3), 20.0)), initial={"v": sim.Uniform(-60.0, -50.0)})
    inh = net.population("inh", 3, sim.LIF(receptors={"exc": sim.ExponentialCurrent(5.0)}))
    net.project(noise, exc, sim.AllToAll(), weight=np.arange(24.0), delay=0.0, receptor="exc")
    net.project(exc, [exc, inh], sim.FixedProbability(0.5), weight=1.0, delay=1.0, receptor="exc")
    net.project(exc[::2], inh, sim.OneToOne(), weight=sim.Normal(1.0, 0.1), delay=[1.0, 2.0, 3.0], name="strong")
    net.project(noise, inh, sim.Matrix(np.eye(4, 3)), delay=2.0)
    net.stimulate(exc[:2], sim.DirectCurrent([1.0, 2.0]))
    net.stimulate(exc, sim.PoissonDrive(rate=800.0, weight=87.8, receptor="exc"))
    net.record(exc)
    net.record(inh[1:], "v", every=0.5)
    return net


def feed(net: Network, source: Any, target: Any, *, delay: Any = 1.0, **options: Any) -> Any:
    return net.project(source, target, sim.AllToAll(), **({"weight": 1.0, "delay": delay, "receptor": "exc"} | options))


def cells(*names: str, size: int = 3) -> Network:
    net = Network()
    for name in names:
        net.population(name, size, sim.LIF())
    return net


CHANGES = {
    "population": lambda net: net.population("other", 1, sim.LIF()),
    "projection": lambda net: feed(net, net.populations["inh"], net.populations["inh"]),
    "stimulus": lambda net: net.stimulate(net.populations["inh"], sim.DirectCurrent(1.0)),
    "probe": lambda net: net.record(net.populations["inh"], "counts"),
}


def test_networks_of_the_same_parts_are_equal() -> None:
    assert example() == example()
    assert Network() == Network()
    assert example() != Network()
    assert example() != "network"
    with pytest.raises(TypeError, match="unhashable"):
        hash(example())


@pytest.mark.parametrize("change", CHANGES)
def test_every_part_counts_in_a_comparison(change: str) -> None:
    net = example()
    CHANGES[change](net)
    assert net != example()


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_independent(change: str) -> None:
    net, untouched = example(), example()
    copy = net.copy()
    assert type(copy) is Network
    assert copy == net
    CHANGES[change](copy)
    assert net == untouched
    assert copy != net
    later = net.copy()
    CHANGES[change](net)
    assert later == untouched
    assert copy == net


def test_a_copy_takes_the_populations_of_its_original() -> None:
    net = example()
    copy = net.copy()
    copy.record(net.populations["noise"])
    assert [p.view.population for p in copy.probes] == ["exc", "inh", "noise"]


def test_data_and_back() -> None:
    net = example()
    made = Network.from_data(net.data(), "here")
    assert made == net
    assert made.data()["populations"] == list(net.populations.values())
    assert Network.from_data(Network().data(), "here") == Network()
    made.record(made.populations["noise"])
    assert made != net


def broken(**changes: Any) -> dict[str, Any]:
    return example().data() | changes


@pytest.mark.parametrize("data", [
    None, {}, [], broken(populations=None), broken(populations=[]), broken(projections=["exc"]), broken(probes=[sim.LIF()]),
    broken(populations=example().data()["populations"] * 2), broken(projections=example().data()["projections"] * 2),
    broken(probes=example().data()["probes"] * 2), broken(populations=[1.0]), broken(stimulations={"a": 1}),
    broken(populations=list(cells("noise", "exc", "inh", size=1).populations.values())),
], ids=range(13))  # fmt: skip
def test_broken_data_is_refused(data: Any) -> None:
    with pytest.raises(FileFormatError, match=r"^here: does not hold a valid network"):
        Network.from_data(data, "here")


def test_population_returns_what_it_added() -> None:
    net = Network()
    exc = net.population("exc", 6, sim.LIF())
    image = net.population("image", (2, 3, 4), sim.IF())
    assert net.populations == {"exc": exc, "image": image}
    assert net.populations["exc"] is exc
    assert (len(exc), exc.shape) == (6, (6,))
    assert (len(image), image.shape) == (24, (2, 3, 4))
    assert net.population("numpy", np.int64(3), sim.LIF()).shape == (3,)
    assert net.population("list", [2, 3], sim.LIF()).shape == (2, 3)


def test_initial_values_are_checked_numbers() -> None:
    given_values = np.full(3, -60, int)
    population = Network().population("exc", 3, sim.LIF(), initial={"v": given_values, "inh": sim.Normal(0.0, 1.0), "exc": 1})
    given_values[:] = 0
    assert population.initial["v"].tolist() == [-60.0] * 3
    assert not population.initial["v"].flags.writeable
    assert population.initial["exc"] == 1.0
    assert population.initial["inh"] == sim.Normal(0.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 12), key=st.slices(12))
def test_slices_are_those_of_a_list(size: int, key: slice) -> None:
    population = cells("exc", size=size).populations["exc"]
    wanted = list(range(size))[key]
    if wanted and (key.step is None or key.step > 0):
        view = population[key]
        assert list(view.ids) == wanted
        assert len(view) == len(wanted)
    else:
        with pytest.raises(DescriptionError, match=r"population 'exc': slice .* holds none of its"):
            population[key]


def test_views_are_written_like_slices() -> None:
    population = cells("exc", size=10).populations["exc"]
    assert str(population[2:6]) == "exc[2:6]"
    assert str(population[:]) == "exc[0:10]"
    assert str(population[-4::2]) == "exc[6:10:2]"
    assert population[2:6] == View("exc", 2, 6)
    assert population[2:6] != population[2:7]


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 12), first=st.slices(12), second=st.slices(12))
def test_overlap_counts_common_neurons(size: int, first: slice, second: slice) -> None:
    net = cells("exc", "inh", size=size)
    try:
        a, b = net.populations["exc"][first], net.populations["exc"][second]
    except DescriptionError:
        return
    assert overlap(a, b) == overlap(b, a) == len(set(a.ids) & set(b.ids))
    assert overlap(a, net.populations["inh"][:]) == 0


def test_view_of_a_population_is_all_of_it() -> None:
    net = example()
    exc = net.populations["exc"]
    assert net.view(exc) == exc[:] == View("exc", 0, 6)
    assert net.shape(exc[:]) == (2, 3)
    assert net.shape(exc[:4]) == (4,)
    with pytest.raises(SpikesimError, match="another network"):
        net.view(example().populations["exc"])
    for view in (View("exc", 0, 7), View("other", 0, 1)):
        with pytest.raises(SpikesimError, match=f"{view.population}"):
            net.view(view)


def test_projections_are_named_by_their_ends() -> None:
    net = cells("a", "b")
    a, b = net.populations.values()
    names = [feed(net, a, b).name, feed(net, a, b).name, feed(net, a[:2], b).name, feed(net, b, a).name, feed(net, a, a).name]
    assert names == ["a->b", "a->b #2", "a->b #3", "b->a", "a->a"]
    assert feed(net, a, b, name="extra").name == "extra"
    assert list(net.projections) == [*names, "extra"]
    assert all(projection.name == name for name, projection in net.projections.items())


@pytest.mark.parametrize("names", [["a->b #2"], ["a->b #2", "a->b #3"], ["a->b #3"], ["a->b", "a->b #5"], ["a->b #02"]], ids=str)
def test_automatic_names_never_replace_a_projection(names: list[str]) -> None:
    net = cells("a", "b")
    a, b = net.populations.values()
    for name in names:
        feed(net, a, b, name=name)
    for count in range(1, 4):
        feed(net, a, b)
        assert len(net.projections) == len(names) + count


def test_automatic_names_of_populations_that_look_like_them() -> None:
    net = cells("a", "b", "b #2")
    a, b, other = net.populations.values()
    first, second = feed(net, a, other), feed(net, a, b)
    assert list(net.projections.values()) == [first, second]


def test_a_list_of_targets_gives_one_projection_each() -> None:
    net = cells("a", "b", "c")
    a, b, c = net.populations.values()
    made = feed(net, a, [b, c[:2]], weight=2.0)
    assert [p.name for p in made] == ["a->b", "a->c"]
    assert [(p.target.population, len(p.target), p.weight) for p in made] == [("b", 3, 2.0), ("c", 2, 2.0)]
    assert list(net.projections.values()) == list(made)
    assert len(feed(net, a, (each for each in (a, b, c)))) == 3
    assert not isinstance(feed(net, a, b), tuple)


def test_weights_and_delays_are_kept_as_checked_numbers() -> None:
    net = cells("a", "b")
    a, b = net.populations.values()
    weights = np.arange(9)
    made = feed(net, a, b, weight=weights, delay=sim.Uniform(1.0, 2.0))
    weights[:] = 0
    assert made.weight.tolist() == list(range(9))
    assert not made.weight.flags.writeable
    assert made.delay == sim.Uniform(1.0, 2.0)
    assert feed(net, a, b, weight=2, delay=1).weight == 2.0


def test_the_only_receptor_need_not_be_named() -> None:
    net = example()
    assert net.projections["strong"].receptor == "exc"
    assert net.projections["noise->inh"].weight == 1.0


def test_stages_follow_the_projections_without_delay() -> None:
    net = cells("d", "c", "b", "a")
    d, c, b, a = net.populations.values()
    assert net.stages() == [["d", "c", "b", "a"]]
    for source, target in ((a, b), (a, c), (b, d), (c, d)):
        feed(net, source, target, delay=0.0)
    feed(net, d, a, delay=0.1)
    feed(net, d, a, delay=[0.0] * 9)
    assert net.stages() == [["a"], ["c", "b"], ["d"]]


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_stages_of_any_graph(edges: list[tuple[int, int]]) -> None:
    """Each edge is added or, where it would close a cycle, refused and left out; stages then order all of them."""
    net = cells(*"abcdef", size=1)
    names = list(net.populations)
    reached = {name: {name} for name in names}
    for source, target in ((names[s], names[t]) for s, t in edges):
        before = net.copy()
        if source in reached[target]:
            with pytest.raises(DescriptionError, match=r"without delay form a cycle: .*->"):
                feed(net, net.populations[source], net.populations[target], delay=0.0)
            assert net == before
        else:
            feed(net, net.populations[source], net.populations[target], delay=0.0)
            for found in reached.values():
                found |= reached[target] if source in found else set()
    stage = {name: number for number, members in enumerate(net.stages()) for name in members}
    assert sorted(stage) == names
    assert all(stage[p.source.population] < stage[p.target.population] for p in net.projections.values())
    assert all(sum(stage[n] == level for n in names) for level in range(max(stage.values()) + 1))


REFUSED = {
    "population": lambda net, a, b: net.population("exc", 0, sim.LIF()),
    "initial": lambda net, a, b: net.population("exc", 1, sim.LIF(), initial={"w": 1.0}),
    "projection": lambda net, a, b: feed(net, a, b, weight=np.nan),
    "cycle": lambda net, a, b: feed(net, a, a, delay=0.0),
    "second target": lambda net, a, b: feed(net, a, [b, "c"]),
    "cycle at the second target": lambda net, a, b: feed(net, a, [b, a], delay=0.0),
    "stimulus": lambda net, a, b: net.stimulate(a, sim.DirectCurrent([1.0])),
    "probe": lambda net, a, b: net.record(a, "rate"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_part_leaves_the_network_as_it_was(what: str) -> None:
    net = cells("a", "b")
    before = net.copy()
    with pytest.raises(SpikesimError):
        REFUSED[what](net, *net.populations.values())
    assert net == before


def test_probes_and_stimuli_return_what_they_added() -> None:
    net = cells("a")
    a = net.populations["a"]
    stimulus = net.stimulate(a[:2], sim.NoiseCurrent(1.0, 1.0))
    assert net.stimulations == [stimulus]
    assert stimulus.target == a[:2]
    probe = net.record(a, "v", every=1)
    assert (probe.variable, probe.every, probe.view) == ("v", 1.0, a[:])
    assert net.record(a).variable == "spikes"
    assert net.probes[0] is probe


def test_repr_counts_the_parts() -> None:
    assert repr(example()) == "<Network: 3 populations, 5 projections>"
