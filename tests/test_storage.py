"""Storage: what is saved comes back equal, and no file, however broken or hostile, does anything but load or be refused."""

import os
from collections.abc import Mapping

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikesim import storage
from spikesim.connectivity import (
    AllToAll,
    Along,
    Conv,
    ConvTranspose,
    Dense,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    Matrix,
    OneToOne,
    PairList,
    Pool,
)
from spikesim.description import Description, same
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.errors import FileFormatError, KindError
from spikesim.network import Network
from spikesim.neurons import IF, LIF, FirstSpike, LoihiLIF, Maximum, Product, Rules, SigmaDelta, TrueNorth
from spikesim.plasticity import LoihiSTDP
from spikesim.recording import Recording
from spikesim.stimulus import DirectCurrent, NoiseCurrent, Poisson, PoissonDrive, SampledCurrent, SpikeTrains, StepCurrent
from spikesim.synapses import AlphaCurrent, Delta, ExponentialConductance, ExponentialCurrent

RULES = (
    OneToOne(), AllToAll(autapses=False), FixedProbability(0.3), FixedIndegree(2, autapses=False, multapses=False), FixedOutdegree(3),
    FixedTotalNumber(7), Matrix(np.eye(4)), Dense(np.arange(16.0).reshape(4, 4)), PairList([0, 3, 3], [1, 2, 2]),
    Along(np.eye(2), 2, [1.0, 0.5]),
)  # fmt: skip
STIMULI = (
    PoissonDrive(rate=np.arange(4.0), weight=1.5, receptor="exc"), PoissonDrive(rate=Uniform(1.0, 2.0), weight=-1.5, receptor="cond"),
    DirectCurrent(10.0), DirectCurrent(Normal(0.0, 1.0)),
    DirectCurrent(1.0, start=2.0, stop=3.0), StepCurrent([1.0, 2.0], [3.0, 4.0]), StepCurrent([0.0], np.ones((1, 4))),
    SampledCurrent(np.zeros((2000, 4)), 0.1), NoiseCurrent(sd=1.0, interval=0.5),
)  # fmt: skip


def network_of_everything() -> Network:
    """One network with every kind of description in it."""
    net = Network()
    receptors = {"exc": ExponentialCurrent(tau=np.full(4, 3.0)), "inh": AlphaCurrent(), "hit": Delta(),
                 "cond": ExponentialConductance(reversal=-80.0)}  # fmt: skip
    lif = LIF(tau_m=np.linspace(10.0, 20.0, 4), c_m=ClippedNormal(200.0, 10.0, low=1.0), v_threshold=np.inf, receptors=receptors)
    cells = net.population("lif µ #1", 4, lif, initial={"v": Uniform(-60.0, -50.0), "exc": np.arange(4.0)})
    image = net.population("image", (2, 6, 6), IF(reset="value"), initial={"v": 0.5})
    net.population("chip", 3, TrueNorth(leak=[1, 2, 3], rules=Rules(order="leak_first")), initial={"v": -5})
    integers = net.population("integers", 4, LoihiLIF(du=np.arange(4.0), vth_low=-3), initial={"u": 7.0})
    net.population("encoder", 3, FirstSpike(window=9))
    learning = LoihiSTDP(a_plus=0.5, a_minus=-0.25, tau_plus=10.0, tau_minus=np.inf, epoch=3, sign="mixed", rounding="own")
    net.project(integers, integers, OneToOne(), weight=2.0, delay=1.0, plasticity=learning)
    noise = net.population("noise", 4, Poisson(rate=LogNormal(1.0, 0.1)))
    trains = net.population("trains", (2, 6, 6), SpikeTrains([2.0, 1.0], [1, 0], [-3, 2**31 - 1]))
    function = SigmaDelta(function="clamp", quantum=Uniform(0.1, 0.2), least=[-1.0, -2.0, -np.inf, 0.0], burst=7, averaged=True,
                          parameters={"low": np.arange(4.0), "high": np.inf})  # fmt: skip
    parts = [net.population("function", 4, function, initial={"u": 3.0}), net.population("product", 4, Product(quantum=0.5)),
             net.population("maximum", 4, Maximum(inputs=3, most=5.0), initial={"x2": -1.0})]  # fmt: skip
    net.project(parts[0], parts[1], OneToOne(), weight=1.0, delay=0.0, receptor="b")
    net.project(parts[1], parts[2], OneToOne(), weight=1.0, delay=0.0, receptor="x2")
    for rule in RULES:
        weight = 0.5 if isinstance(rule, Matrix | Dense | Along) else Normal(1.0, 0.1)
        net.project(cells, cells, rule, weight=weight, delay=1.0, receptor="exc", name=f"{type(rule).__name__} %.")
    net.project(noise, cells, AllToAll(), weight=np.arange(16.0), delay=np.full(16, 2.0), receptor="inh")
    net.project(trains, image, Conv(np.ones((2, 1, 3, 3)), padding=1, groups=2), delay=0.0)
    net.project(trains, image, ConvTranspose(np.ones((2, 2, 1, 1))), delay=0.0)
    net.project(trains, image, Along(np.eye(6)[::-1], 6), delay=1.0)
    net.project(trains, image, Pool(3, stride=(1, 1), padding=1), weight=0.25, delay=1.0)
    net.project(cells[:3:2], cells[1:3], OneToOne(), weight=1.0, delay=Uniform(1.0, 2.0), receptor="hit")
    for stimulus in STIMULI:
        net.stimulate(cells, stimulus)
    net.record(cells)
    net.record(image[3:9:2], "v", every=0.5)
    net.record(noise, "rate", every=1.0)
    return net


class HoldsAnything(Description):
    """Stands for descriptions with fields of their own names."""

    name: object
    type: object = None


VALUES = (
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -2.5, np.inf,
    "", "a", "a/b", ".", "%", "%2F", "exc->inh #2", "µ\0\n\ud800\udc00", "long " * 20_000,
    [], (), {}, [1, [2.0, (True, None)]], (1, "a", {"b": []}),
    {"b": 1, "a": {"": 2, ".": 3, "a/b": 4, "%": 5}},
    np.zeros(0), np.zeros((0, 3), np.int8), np.array(3.5), np.array([True, False]), np.arange(5, dtype=">u2"), np.float16([1.5]),
    np.zeros(100_000), np.arange(6000, dtype=np.int16).reshape(2, 3000), np.arange(12.0).reshape(3, 4).T,
    HoldsAnything(1, HoldsAnything([])), *RULES, *STIMULI, Network().data(), list(range(30)),
    {f"key {index}": index for index in range(20, 0, -1)},
)  # fmt: skip


def alike(a, b) -> bool:
    """`same`, and of the same types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(alike, a, b))
    return repr(a) == repr(b) if isinstance(a, float) else same(a, b)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30].encode("ascii", "replace").decode().replace("\0", " "))
def test_values_come_back(tmp_path, value):
    storage.save(tmp_path / "a.h5", "value", value)
    assert alike(storage.load(tmp_path / "a.h5", "value"), value)


@pytest.mark.parametrize("scalar", [np.float64(0.1), np.float32(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True)], ids=repr)
def test_numpy_scalars_become_plain(tmp_path, scalar):
    storage.save(tmp_path / "a.h5", "value", scalar)
    assert alike(storage.load(tmp_path / "a.h5", "value"), scalar.item())


def test_network_of_everything(tmp_path):
    net = network_of_everything()
    net.save(tmp_path / "net.h5")
    assert Network.load(tmp_path / "net.h5") == net
    used = {type(value).__name__ for value in _descriptions(net.data())}
    parts = {cls: kind.__module__.split(".") for cls, kind in Description.registry.items()}
    assert (
        used
        >= {cls for cls, (top, *rest) in parts.items() if top == "spikesim" and rest[0] not in ("convert", "hardware")} - storage.ABSTRACT
    )


def test_fields_that_are_newer_than_the_file_take_their_defaults(tmp_path):
    """A current from before it could start and stop still loads; a field without a default is missed."""
    storage.save(tmp_path / "a.h5", "value", [DirectCurrent(2.0)])
    for name in ("start", "stop"):
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            del file[f"data/0/{name}"]
    assert storage.load(tmp_path / "a.h5", "value") == [DirectCurrent(2.0)]
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["data/0/amplitude"]
    with pytest.raises(FileFormatError, match=r"missing: .*amplitude"):
        storage.load(tmp_path / "a.h5", "value")


def _descriptions(value):
    """Every description in a tree."""
    if isinstance(value, Description):
        yield value
        value = value.values()
    for child in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _descriptions(child)


def test_saving_is_all_or_nothing(tmp_path):
    path = tmp_path / "a.h5"
    storage.save(path, "value", 1)
    with pytest.raises(KindError):
        storage.save(path, "value", [np.zeros(10), object()])
    assert storage.load(path, "value") == 1
    storage.save(path, "value", 2)
    assert storage.load(path, "value") == 2
    assert os.listdir(tmp_path) == ["a.h5"]


ENDLESS: list = []
ENDLESS.append(ENDLESS)
UNSAVEABLE = (
    ([object()], r"/data/0: cannot save a object"), ({"a": {1: 2}}, r"/data/a: cannot save the key 1"), ([2**64], r"/data/0: .* 64 bits"),
    ((1j,), r"/data/0: cannot save a complex"), (np.array([object()]), r"/data: .* dtype object"), (np.array(["a"]), r"dtype <U1"),
    (np.zeros(1, np.longdouble), "8 bytes or fewer"), (HoldsAnything(name=b"a"), r"/data/name: cannot save a bytes"),
    (ENDLESS, "deeper than 32"),
)  # fmt: skip


@pytest.mark.parametrize(("value", "message"), UNSAVEABLE, ids=[message for _, message in UNSAVEABLE])
def test_what_cannot_be_saved_is_named(tmp_path, value, message):
    with pytest.raises(KindError, match=message):
        storage.save(tmp_path / "a.h5", "value", value)


KEYS = st.text(st.characters())  # surrogates and controls among them
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | KEYS
    | hnp.arrays(hnp.integer_dtypes() | hnp.floating_dtypes() | hnp.boolean_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(value=PLAIN)
def test_any_tree_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "tree.h5"
    storage.save(path, "value", value)
    assert alike(storage.load(path, "value"), value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved network: the path, the network, the bytes of the file."""
    net, path = network_of_everything(), tmp_path_factory.mktemp("saved") / "net.h5"
    net.save(path)
    return path, net, path.read_bytes()


def loads_equal_or_is_refused(saved, content: bytes) -> None:
    path, net, _ = saved
    path.write_bytes(content)
    try:
        found = Network.load(path)
    except FileFormatError:
        return
    assert found == net


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0.0, 1.0, exclude_max=True))
def test_truncated_files_are_refused(saved, where):
    loads_equal_or_is_refused(saved, saved[2][: int(where * len(saved[2]))])


@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=20))
def test_damaged_files_are_refused_or_equal(saved, flips):
    content = bytearray(saved[2])
    for where, change in flips:
        content[int(where * len(content))] ^= change
    loads_equal_or_is_refused(saved, bytes(content))


@settings(max_examples=20, deadline=None)
@given(content=st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise.h5"
    for start in (b"", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(start + content)
        with pytest.raises(FileFormatError):
            storage.load(path, "value")


def relabel(file, name: str, kind: str) -> None:
    file[name].attrs["type"] = np.bytes_(kind)


def replace(file, name: str, value, kind: str = "array", **options) -> None:
    del file[name]
    file.create_dataset(name, data=value, **options).attrs["type"] = np.bytes_(kind)


def declare(file, shape, **options) -> None:
    """A dataset that takes no room in the file."""
    del file["data/array"]
    file.create_dataset("data/array", shape, np.float64, **options).attrs["type"] = np.bytes_("array")


def bomb(file) -> None:
    """32 MB that are stored in one chunk of one byte, as a file made by hand could have it."""
    declare(file, (2**22,), chunks=(2**22,), compression="gzip")
    file["data/array"].id.write_direct_chunk((0,), b"x")


def wide_chunk(file) -> None:
    """A few values in a chunk that unfolds to 32 MB."""
    declare(file, (4,), chunks=(2**22,), maxshape=(None,), compression="gzip")
    file["data/array"].id.write_direct_chunk((0,), b"x")


def link(make):
    """Replace an item by a link."""

    def spoil(file):
        del file["data/array"]
        file["data/array"] = make(file)

    return spoil  # fmt: skip


def deep(file) -> None:
    node = file["data"]
    for _ in range(40):
        node = node.create_group("0")
        node.attrs["type"] = np.bytes_("list")


def virtual(file) -> None:
    layout = h5py.VirtualLayout((3,), np.float64)
    layout[:] = h5py.VirtualSource("other.h5", "data", (3,))
    del file["data/array"]
    file.create_virtual_dataset("data/array", layout).attrs["type"] = np.bytes_("array")


def foreign_filter(file) -> None:
    replace(file, "data/array", np.arange(3.0), chunks=(3,), compression="lzf")


HOSTILE = {
    "no format": (lambda f: f.attrs.pop("format"), "HDF5 file of another program"),
    "other format": (lambda f: f.attrs.update(format=np.bytes_("nir")), "HDF5 file of another program"),
    "format of odd type": (lambda f: f.attrs.update(format=3), "attribute 'format'"),
    "text of variable length": (lambda f: f.attrs.update(format="spikesim"), "attribute 'format', found dtype object"),
    "other kind": (lambda f: f.attrs.update(kind=np.bytes_("simulation")), "expected a value, found a simulation; load it with"),
    "no kind": (lambda f: f.attrs.pop("kind"), "unreadable .*kind"),
    "newer version": (lambda f: f.attrs.update(format_version=2), "expected version 1 .*found version 2; update spikesim"),
    "version of odd type": (lambda f: f.attrs.update(format_version="1"), "attribute 'format_version'"),
    "nothing inside": (lambda f: f.pop("data"), "/data: expected an object of this file, found nothing"),
    "no type": (lambda f: f["data"].attrs.pop("type"), "unreadable .*type"),
    "unknown class": (lambda f: relabel(f, "data/item", "LIFF"), "unknown type 'LIFF'; did you mean 'LIF'.*import the module"),
    "a python name": (lambda f: relabel(f, "data/item", "os.system"), "unknown type 'os.system'"),
    "abstract class": (lambda f: relabel(f, "data/item", "Rule"), "unknown type 'Rule'"),
    "missing field": (lambda f: f.pop("data/item/low"), "fields high, low of Uniform, found high; .*missing: low"),
    "extra field": (lambda f: f.copy("data/item/low", "data/item/x"), "fields high, low of Uniform, .*surplus: x"),
    "impossible value": (lambda f: replace(f, "data/item/low", 9.0, "float"), "a valid Uniform, found DescriptionError: .* low <= high"),
    "value of other kind": (lambda f: replace(f, "data/item/low", np.array([b"a"]), "text"), "a valid Uniform, found KindError"),
    "float for int": (lambda f: replace(f, "data/int", 1.5, "int"), "/data/int: expected values of kind iu .*found dtype float64"),
    "vector for int": (lambda f: replace(f, "data/int", [1, 2], "int"), r"shape \(\), found dtype int64, shape \(2,\)"),
    "text for numbers": (lambda f: replace(f, "data/array", np.array([b"a"])), r"kind biuf, found dtype \|S1"),
    "objects": (lambda f: replace(f, "data/array", ["a"], dtype=h5py.string_dtype()), "found dtype object"),
    "rows of different length": (lambda f: replace(f, "data/array", None, shape=(2,), dtype=h5py.vlen_dtype(float)), "found dtype object"),
    "references": (lambda f: replace(f, "data/array", None, shape=(2,), dtype=h5py.ref_dtype), "found dtype object"),
    "compound": (lambda f: replace(f, "data/array", np.zeros(2, "f8,i4")), "found dtype .*'f0'"),
    "long double": (lambda f: replace(f, "data/array", np.zeros(2, np.longdouble)), "found dtype float128"),
    "no values": (lambda f: replace(f, "data/array", h5py.Empty("f8")), "expected a dataset with values"),
    "bad utf-8": (lambda f: replace(f, "data/text", np.array([b"\xff"]), "text"), "unreadable .*decode"),
    "group for array": (lambda f: relabel(f, "data/list", "array"), "/data/list: expected a dataset with values, found a Group"),
    "array for list": (lambda f: relabel(f, "data/array", "list"), "/data/array: expected a group for a list, found a Dataset"),
    "array for description": (lambda f: relabel(f, "data/array", "Uniform"), "expected a group for a Uniform, found a Dataset"),
    "missing item": (lambda f: f.pop("data/list/0"), "/data/list: expected items numbered 0 to 0, found 1"),
    "unescaped key": (lambda f: f.move("data/int", "data/%69nt"), "expected a key written as 'int', found '%69nt'"),
    "named type": (lambda f: f.update({"data/type": np.dtype("f8")}), "unreadable|group|dataset"),
    "soft link": (link(lambda f: h5py.SoftLink("/data/int")), "/data/array: expected an object of this file, found a SoftLink"),
    "external link": (link(lambda f: h5py.ExternalLink("other.h5", "/data")), "found a ExternalLink; copy"),
    "second hard link": (link(lambda f: f["data/int"]), "found a second link"),
    "cycle": (link(lambda f: f["data"]), "found a second link"),
    "too deep": (deep, "at most 32 levels"),
    "virtual": (virtual, "virtual or external dataset"),
    "external": (lambda f: replace(f, "data/array", np.zeros(3), external=[("other.bin", 0, 24)]), "virtual or external dataset"),
    "foreign filter": (foreign_filter, "filter 32000; repack"),
    "larger than memory": (lambda f: declare(f, (2**50,), chunks=(2**10,)), "the free memory, found 9.01e.03 TB"),
    "overflowing size": (lambda f: declare(f, (2**40, 2**40), chunks=(8, 8)), "the free memory"),
    "nothing stored": (lambda f: declare(f, (2**22,)), "values that 0 stored bytes can hold, found a declared size of 33.6 MB"),
    "bomb": (bomb, "values that 1 stored bytes can hold"),
    "wide chunk": (wide_chunk, "values that 1 stored bytes can hold"),
    "broken chunk": (lambda f: replace(f, "data/array", np.zeros(9), chunks=(9,), compression="gzip")
                     or f["data/array"].id.write_direct_chunk((0,), b"x"), "unreadable"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(tmp_path, monkeypatch, spoil, message):
    monkeypatch.chdir(tmp_path)  # where external storage would be written
    data = {"int": 1, "array": np.arange(3.0), "text": "a", "list": [1, 2], "item": Uniform(0.0, 1.0)}
    storage.save("a.h5", "value", data)
    with h5py.File("a.h5", "r+") as file:
        spoil(file)
    with pytest.raises(FileFormatError, match=rf"a\.h5: .*{message}"):
        storage.load("a.h5", "value")


def test_paths_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.h5: there is no such file"):
        storage.load(tmp_path / "none.h5", "value")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        storage.load(tmp_path / ("a" * 300), "value")
    with pytest.raises(FileFormatError, match="expected a file, found a directory"):
        storage.load(tmp_path, "value")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="expected a file, found a device"):
        storage.load(tmp_path / "pipe", "value")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FileFormatError, match="expected an HDF5 file, found something else"):
        storage.load(tmp_path / "text", "value")


def test_network_of_another_kind(tmp_path):
    storage.save(tmp_path / "a.h5", "network", {"populations": 3})
    with pytest.raises(FileFormatError, match="valid network"):
        Network.load(tmp_path / "a.h5")


@pytest.mark.parametrize("save", [lambda path: Network().save(path), lambda path: Recording(0.0, 1.0, 0.1).save(path)])
def test_places_that_cannot_be_written(tmp_path, save):
    with pytest.raises(FileNotFoundError, match=r"x\.h5: there is no folder .*none; make it first"):
        save(tmp_path / "none" / "x.h5")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        save(tmp_path)
