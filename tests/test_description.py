"""Descriptions: frozen plain data, equal by value, checked field by field whatever number is given."""

import math
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import spikesim as sim
from spikesim.description import Description, Distribution, frozen_array, same
from spikesim.errors import DescriptionError, KindError, NameUnknownError, SpikesimError
from spikesim.neurons.model import Neuron
from spikesim.neurons.truenorth import TrueNorth
from spikesim.population import Population, View
from spikesim.synapses import Receptor

# what a class needs beside its defaults; every class with a number field must be constructible with these
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Uniform": {"low": 0.0, "high": 1.0},
    "Normal": {"mean": 0.0, "sd": 1.0},
    "ClippedNormal": {"mean": 0.0, "sd": 1.0},
    "LogNormal": {"mu": 0.0, "sigma": 1.0},
    "FixedProbability": {"p": 0.1},
    "FixedIndegree": {"k": 2},
    "FixedOutdegree": {"k": 2},
    "FixedTotalNumber": {"n": 2},
    "Poisson": {"rate": 10.0},
    "PoissonDrive": {"rate": 10.0, "weight": 1.0, "receptor": "exc"},
    "DirectCurrent": {"amplitude": 1.0},
    "SampledCurrent": {"samples": (1.0, 2.0), "interval": 1.0},
    "NoiseCurrent": {"sd": 1.0, "interval": 1.0},
    "Conv": {"weights": np.ones((1, 1, 3))},
    "ConvTranspose": {"weights": np.ones((1, 1, 3))},
    "Pool": {"kernel": 2},
    "Along": {"matrix": np.eye(2)},
    "LoihiSTDP": {"a_plus": 1.0, "a_minus": -1.0, "tau_plus": 10.0, "tau_minus": 10.0},
    "View": {"population": "exc", "start": 0, "stop": 4},
}
OWN = {name: cls for name, cls in Description.registry.items() if cls.__module__.startswith("spikesim.")}


def made(cls: type[Description], **values: Any) -> Description:
    return cls(**(ARGUMENTS.get(cls.__name__, {}) | values))


def attempt(make: Callable[[], Any]) -> tuple[Any, str]:
    """(what was made, "") or (None, the message of the spikesim error); any other exception passes through."""
    try:
        return make(), ""
    except SpikesimError as error:
        return None, f"{error}"


def fields_with(mark: str) -> list[tuple[type[Description], str]]:
    return [(cls, entry.name) for cls in OWN.values() for entry in fields(cls) if mark in entry.metadata]


def named(pair: Any) -> str:
    return f"{pair[0].__name__}.{pair[1]}"


def limits(cls: type[Description], name: str) -> dict[str, Any]:
    return next(entry for entry in fields(cls) if entry.name == name).metadata["real"]


def str_of(value: Any) -> str:
    return f"{type(value).__name__} {value}" if type(value) is not object else "object"


MOST = {"burst": 2**30, "window": 2**30, "inputs": 64, "epoch": 63}  # of whole numbers that have an upper bound
REALS = fields_with("real")
VARYING = [(cls, name) for cls, name in REALS if limits(cls, name)["varies"]]
NO_NUMBERS = ["1", b"1", None, True, np.True_, 1j, {}, object(), [None], ["a"], [[1.0], [1.0, 2.0]], float]
NUMBERS = st.sampled_from([np.float64, np.float32, np.int64, np.uint8])
ANY_ARRAY = hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0))
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
EXAMPLES = [sim.LIF(), sim.IF(), sim.Uniform(0.0, 1.0), sim.ExponentialCurrent(tau=np.ones(3)), sim.FixedProbability(0.1),
            sim.PairList([0], [1]), sim.SpikeTrains([1.0], [0], [2]), sim.Dense(np.eye(2)), sim.Matrix(np.eye(2)),
            sim.Conv(np.ones((1, 1, 3))), sim.Pool(2), sim.ConvTranspose(np.ones((1, 1, 3))), sim.Along(np.eye(2))]  # fmt: skip


def test_the_number_fields_are_all_found() -> None:
    assert len(REALS) >= 30
    assert {"LIF", "IF", "ExponentialConductance", "Uniform", "Poisson", "NoiseCurrent"} <= {cls.__name__ for cls, _ in REALS}
    for cls, _ in REALS:
        made(cls)


@pytest.mark.parametrize("field", REALS, ids=named)
@settings(max_examples=40, deadline=None)
@given(value=ANY_FLOAT)
@example(value=5e-324)
@example(value=-1.7976931348623157e308)
def test_any_float_is_taken_or_refused_in_words(field: tuple[type[Description], str], value: float) -> None:
    cls, name = field
    bounds = limits(cls, name)
    description, refusal = attempt(lambda: made(cls, **{name: value}))
    if refusal:
        assert refusal.startswith(cls.__name__)
        return
    kept = getattr(description, name)
    assert type(kept) is float
    assert kept == value
    assert bounds["above"] < value or bounds["above"] == -np.inf
    assert bounds["at_least"] <= value <= bounds["at_most"]
    assert np.isfinite(value) or bounds["infinite"]
    assert description == made(cls, **{name: value})


@settings(max_examples=300, deadline=None)
@given(data=st.data(), cls=st.sampled_from(sorted({cls for cls, _ in REALS}, key=lambda cls: cls.__name__)))
def test_any_floats_in_all_fields_are_taken_or_refused_in_words(data: st.DataObject, cls: type[Description]) -> None:
    names = [name for owner, name in REALS if owner is cls]
    values = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, ANY_FLOAT)))
    description, refusal = attempt(lambda: made(cls, **values))
    assert not refusal or refusal.startswith(cls.__name__)
    if isinstance(description, Distribution):
        low, high = description.support()
        assert low <= high


@pytest.mark.parametrize("field", VARYING, ids=named)
@settings(max_examples=20, deadline=None)
@given(values=ANY_ARRAY)
def test_any_array_is_taken_or_refused_in_words(field: tuple[type[Description], str], values: np.ndarray) -> None:
    cls, name = field
    description, refusal = attempt(lambda: made(cls, **{name: values}))
    if refusal:
        assert refusal.startswith(cls.__name__)
        return
    kept = getattr(description, name)
    assert np.array_equal(kept, values.astype(np.float64))
    assert np.ndim(kept) == 0 or (kept.dtype == np.float64 and kept.shape == values.shape and not (kept.size and kept.flags.writeable))


@pytest.mark.parametrize("field", VARYING, ids=named)
@settings(max_examples=20, deadline=None)
@given(low=st.floats(-1e6, 1e6), width=st.floats(0.0, 1e6))
def test_any_distribution_is_taken_or_refused_by_its_support(field: tuple[type[Description], str], low: float, width: float) -> None:
    cls, name = field
    bounds, drawn = limits(cls, name), sim.Uniform(low, low + width)
    inside = bounds["above"] < low and bounds["at_least"] <= low and low + width <= bounds["at_most"]
    description, refusal = attempt(lambda: made(cls, **{name: drawn}))
    if inside and not refusal:
        assert getattr(description, name) == drawn
    else:  # a bound of the field, or one between fields; TrueNorth counts in whole numbers
        assert refusal.startswith(cls.__name__)
        assert not inside or "v_" in name or cls is TrueNorth


@pytest.mark.parametrize("field", [pair for pair in REALS if pair not in VARYING], ids=named)
def test_what_does_not_vary_is_one_number(field: tuple[type[Description], str]) -> None:
    cls, name = field
    for value in ([1.0, 2.0], sim.Uniform(0.0, 1.0)):
        with pytest.raises(KindError, match=f"{cls.__name__}.{name}: expected one number"):
            made(cls, **{name: value})


@pytest.mark.parametrize("field", REALS, ids=named)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=str_of)
def test_what_is_not_a_number_is_refused(field: tuple[type[Description], str], value: Any) -> None:
    cls, name = field
    with pytest.raises(KindError, match=f"{cls.__name__}.{name}: expected"):
        made(cls, **{name: value})


@pytest.mark.parametrize("field", [pair for pair in fields_with("whole") if pair[0] not in (View, sim.ShiftedSum)], ids=named)
@settings(max_examples=20, deadline=None)
@given(value=st.integers() | st.floats() | st.booleans() | st.none() | st.text())
def test_whole_numbers_are_whole(field: tuple[type[Description], str], value: Any) -> None:
    cls, name = field
    description, refusal = attempt(lambda: made(cls, **{name: value}))
    if refusal:
        assert refusal.startswith(cls.__name__)
        least = next(entry for entry in fields(cls) if entry.name == name).metadata["whole"]
        assert type(value) is not int or not least <= value <= MOST.get(name, math.inf)
        return
    kept = getattr(description, name)
    assert type(kept) is type(value) is int
    assert kept == value >= 0


@pytest.mark.parametrize("field", fields_with("flag"), ids=named)
def test_flags_are_true_or_false(field: tuple[type[Description], str]) -> None:
    cls, name = field
    assert getattr(made(cls, **{name: np.True_}), name)
    for value in (0, 1, None, "yes", np.array([True])):
        with pytest.raises(KindError, match=f"{cls.__name__}.{name}: expected True or False"):
            made(cls, **{name: value})


@pytest.mark.parametrize("cls", [cls for cls in OWN.values() if len(fields(cls))], ids=lambda cls: cls.__name__)
def test_unknown_keywords_suggest_the_nearest(cls: type[Description]) -> None:
    for entry in fields(cls):
        with pytest.raises(NameUnknownError, match=f"{cls.__name__}: unknown parameter '{entry.name}_'; did you mean '{entry.name}'\\?"):
            cls(**{f"{entry.name}_": 1.0})


@pytest.mark.parametrize("cls", [cls for cls in OWN.values() if len(fields(cls))], ids=lambda cls: cls.__name__)
def test_missing_arguments_are_named(cls: type[Description]) -> None:
    needed = [entry.name for entry in fields(cls) if entry.default is MISSING and entry.default_factory is MISSING]
    if needed:
        with pytest.raises(KindError, match=f"^{cls.__name__}: .*'{needed[0]}'.*; parameters: "):
            cls()


@pytest.mark.parametrize("description", EXAMPLES, ids=lambda d: type(d).__name__)
def test_assignment_raises(description: Description) -> None:
    for name in description.values():
        with pytest.raises(FrozenInstanceError):
            setattr(description, name, getattr(description, name))
        with pytest.raises(FrozenInstanceError):
            delattr(description, name)
    with pytest.raises(FrozenInstanceError):
        description.extra = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("description", EXAMPLES, ids=lambda d: type(d).__name__)
def test_descriptions_cannot_be_hashed(description: Description) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(description)


def arrays_of(description: Description) -> list[np.ndarray]:
    return [value for value in description.values().values() if isinstance(value, np.ndarray)]


GIVEN = [
    (lambda a: sim.LIF(tau_m=a), np.ones(4)),
    (lambda a: sim.ExponentialCurrent(tau=a), np.ones(4)),
    (lambda a: sim.Poisson(rate=a), np.ones(4)),
    (lambda a: sim.SpikeTrains(a, np.arange(4)), np.ones(4)),
    (lambda a: sim.SpikeTrains(np.ones(4), a), np.arange(4)),
    (lambda a: sim.SpikeTrains(np.ones(4), np.arange(4), a), np.arange(1, 5)),
    (lambda a: sim.StepCurrent(a, np.ones(4)), np.arange(4.0)),
    (lambda a: sim.StepCurrent(np.arange(4.0), a), np.ones(4)),
    (lambda a: sim.SampledCurrent(a, 1.0), np.ones(4)),
    (lambda a: sim.DirectCurrent(a), np.ones(4)),
    (lambda a: sim.PairList(a, np.ones(4)), np.arange(4)),
    (lambda a: sim.Dense(a), np.ones((2, 2))),
    (lambda a: sim.Conv(a), np.ones((1, 1, 4))),
    (lambda a: sim.Matrix(a).weights, np.ones((2, 2))),
    (lambda a: sim.ConvTranspose(a), np.ones((1, 1, 4))),
    (lambda a: sim.Along(a).matrix, np.ones((2, 2))),
    (lambda a: sim.Along(np.eye(2), 2, a), np.ones(2)),
]


@pytest.mark.parametrize(("make", "given"), GIVEN)
def test_arrays_are_read_only_copies(make: Any, given: np.ndarray) -> None:
    description, kept = make(given), make(given.copy())
    given[:] = -7
    assert description == kept
    assert arrays_of(description)
    for array in arrays_of(description):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def test_mappings_and_lists_are_copies() -> None:
    receptors, initial, kernel = {"exc": sim.ExponentialCurrent()}, {"v": -60.0}, [2, 2]
    lif, pool = sim.LIF(receptors=receptors), sim.Pool(kernel)
    population = Population("exc", 4, lif, initial)
    receptors["inh"], initial["v"], kernel[0] = sim.ExponentialCurrent(), 0.0, 99
    assert list(lif.receptors) == ["exc"]
    assert population.initial == {"v": -60.0}
    assert pool == sim.Pool([2, 2])


def test_mappings_are_read_only() -> None:
    """What was checked stays as it was checked."""
    lif = sim.LIF()
    with pytest.raises(TypeError):
        lif.receptors["exc"] = 5.0  # type: ignore[index]
    with pytest.raises(TypeError):
        Population("exc", 4, lif, {"v": -60.0}).initial["v"] = np.nan  # type: ignore[index]


EQUAL = [
    (sim.LIF(), sim.LIF(tau_m=10, c_m=np.float32(250.0))),
    (sim.LIF(tau_m=[10, 20]), sim.LIF(tau_m=np.array([10.0, 20.0], np.float32))),
    (sim.LIF(receptors={"a": sim.Delta()}), sim.LIF(receptors={"a": sim.Delta()})),
    (sim.LIF(tau_m=sim.Uniform(1, 2)), sim.LIF(tau_m=sim.Uniform(1.0, 2.0))),
    (sim.LIF(v_threshold=np.inf), sim.LIF(v_threshold=float("inf"))),
    (sim.SpikeTrains([2.0, 1.0], [0, 1]), sim.SpikeTrains([1, 2], (1, 0))),
    (sim.SpikeTrains([2.0, 1.0], [0, 1], [5, -6]), sim.SpikeTrains([1, 2], (1, 0), [-6.0, 5.0])),
    (sim.Conv(np.ones((1, 1, 3, 3)), stride=2), sim.Conv(np.ones((1, 1, 3, 3), int), stride=(2, 2))),
    (sim.FixedIndegree(np.int64(3)), sim.FixedIndegree(3)),
    (sim.Matrix(np.eye(3)), sim.Matrix(np.eye(3).tolist())),
    (sim.Along(np.eye(3)), sim.Along(np.eye(3).tolist(), inner=np.int64(1))),
]
UNEQUAL = [
    (sim.LIF(), sim.LIF(tau_m=11.0)),
    (sim.LIF(tau_m=10.0), sim.LIF(tau_m=[10.0])),
    (sim.LIF(tau_m=[10.0, 20.0]), sim.LIF(tau_m=[20.0, 10.0])),
    (sim.LIF(tau_m=[10.0, 20.0]), sim.LIF(tau_m=[[10.0, 20.0]])),
    (sim.LIF(tau_m=10.0), sim.LIF(tau_m=sim.Uniform(10.0, 10.0))),
    (sim.LIF(receptors={"a": sim.Delta()}), sim.LIF(receptors={"b": sim.Delta()})),
    (sim.LIF(receptors={"a": sim.ExponentialCurrent()}), sim.LIF(receptors={"a": sim.ExponentialCurrent(tau=3.0)})),
    (sim.ExponentialCurrent(), sim.AlphaCurrent()),
    (sim.Uniform(0.0, 1.0), sim.Normal(0.0, 1.0)),
    (sim.AllToAll(), sim.AllToAll(autapses=False)),
    (sim.AllToAll(), None),
    (sim.AllToAll(), "AllToAll()"),
    (sim.Dense(np.eye(2)), sim.Dense(2.0 * np.eye(2))),
    (sim.Matrix(np.eye(3)), sim.Matrix(np.eye(3, 4))),
    (sim.Along(np.eye(3)), sim.Along(np.eye(3), gains=[1.0])),
    (sim.Conv(np.ones((1, 1, 3))), sim.Conv(np.ones((1, 1, 3)), channels_last=True)),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_by_value(a: Description, b: Description) -> None:
    assert a == b
    assert not a != b


@pytest.mark.parametrize(("a", "b"), UNEQUAL)
def test_unequal_by_value(a: Description, b: Any) -> None:
    assert a != b
    assert b != a


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3) | hnp.arrays(np.float64, 2, elements=st.floats(-1.0, 1.0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(a=VALUES, b=VALUES)
def test_same_is_reflexive_and_symmetric(a: Any, b: Any) -> None:
    assert same(a, a)
    assert same(a, b) == same(b, a)
    assert same([a], (a,))
    assert same({"x": a}, {"x": a})
    assert not same({"x": a}, {"y": a})
    assert not same([a], [a, a])


SHOWN = [
    (sim.LIF(), "LIF()"),
    (sim.LIF(tau_m=10.0), "LIF()"),
    (sim.LIF(tau_m=20, t_ref=5.0), "LIF(tau_m=20.0, t_ref=5.0)"),
    (sim.LIF(tau_m=[1.0, 2.0]), "LIF(tau_m=<array (2,)>)"),
    (sim.LIF(v_rest=sim.Uniform(-60.0, -50.0)), "LIF(v_rest=Uniform(low=-60.0, high=-50.0))"),
    (sim.LIF(receptors={"exc": sim.ExponentialCurrent(tau=5.0)}), "LIF(receptors={'exc': ExponentialCurrent(tau=5.0)})"),
    (sim.IF(reset="value"), "IF(reset='value')"),
    (sim.Delta(), "Delta()"),
    (sim.FixedProbability(0.1), "FixedProbability(p=0.1)"),
    (sim.FixedIndegree(3, autapses=False), "FixedIndegree(k=3, autapses=False)"),
    (sim.AllToAll(autapses=True), "AllToAll()"),
    (sim.Normal(0.0, 1.0), "Normal(mean=0.0, sd=1.0)"),
    (sim.ClippedNormal(0.0, 1.0, low=0.0), "ClippedNormal(mean=0.0, sd=1.0, low=0.0)"),
    (sim.Dense(np.ones((2, 3))), "Dense(weights=<array (2, 3)>)"),
    (sim.NoiseCurrent(1.0, 2.0), "NoiseCurrent(sd=1.0, interval=2.0)"),
]


@pytest.mark.parametrize(("description", "text"), SHOWN, ids=lambda x: x if isinstance(x, str) else "")
def test_repr_shows_what_differs_from_the_default(description: Description, text: str) -> None:
    assert repr(description) == text


@pytest.mark.parametrize("cls", [cls for cls in OWN.values() if issubclass(cls, Neuron | Receptor) and "KIND" in vars(cls)],
                         ids=lambda cls: cls.__name__)  # fmt: skip
def test_repr_of_the_default_is_bare(cls: type[Description]) -> None:
    assert repr(cls()) == f"{cls.__name__}()"


@pytest.mark.parametrize("description", [d for d, text in SHOWN if "<" not in text], ids=repr)
def test_repr_can_be_read_back(description: Description) -> None:
    assert eval(repr(description), dict(vars(sim))) == description


def test_replace_checks_again() -> None:
    assert replace(sim.LIF(), tau_m=20.0) == sim.LIF(tau_m=20.0)
    with pytest.raises(DescriptionError, match=r"LIF\.tau_m: expected more than 0 ms"):
        replace(sim.LIF(), tau_m=0.0)


def test_a_subclass_is_checked_and_known_by_name() -> None:
    class Resonator(sim.LIF):
        """A model of a user."""

    assert Description.registry.pop("Resonator") is Resonator
    assert Resonator(tau_m=20.0) != sim.LIF(tau_m=20.0)
    assert repr(Resonator(tau_m=20.0)) == "Resonator(tau_m=20.0)"
    with pytest.raises(DescriptionError, match=r"Resonator\.tau_m"):
        Resonator(tau_m=-1.0)


@settings(max_examples=100, deadline=None)
@given(values=hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)))
def test_frozen_array_of_anything(values: np.ndarray) -> None:
    for dtype in (np.float64, np.int64):
        kept, refusal = attempt(lambda dtype=dtype: frozen_array(values, "it", dtype=dtype))
        if refusal:
            assert refusal.startswith("it: expected an array of numbers")
            assert dtype is np.int64 or values.dtype.kind not in "iuf"
            continue
        assert kept.dtype == dtype
        assert kept.shape == values.shape
        assert not (kept.size and kept.flags.writeable)
        assert np.array_equal(kept, values.astype(np.float64) if dtype is np.float64 else values, equal_nan=True)
