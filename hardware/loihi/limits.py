"""What the chips have: each limit with its unit and its source."""

from dataclasses import dataclass

from spikesim.errors import unknown_name


@dataclass(frozen=True)
class Limit:
    """A number, what it counts, and where it was published."""

    value: int
    unit: str
    source: str


@dataclass(frozen=True)
class Chip:
    """Limits of one core and of a chip; None where no limit was published."""

    name: str
    cores: Limit
    compartments: Limit
    input_axons: Limit | None
    output_axons: Limit | None
    synapse_bits: Limit
    profiles: Limit | None
    trace_profiles: Limit | None
    traces: Limit | None
    delay: Limit
    refractory: Limit
    payload: Limit
    chips: Limit
    mesh: tuple[int, int]  # tiles east-west, north-south
    cores_per_tile: int


DAVIES = "Davies et al. (2018), IEEE Micro 38(1)"
NENGO = "nengo-loihi, hardware/validate.py"
BRIEF = "Intel (2021), Loihi 2 technology brief"

LOIHI1 = Chip(
    name="loihi1",
    cores=Limit(128, "cores a chip", DAVIES),
    compartments=Limit(1024, "compartments a core", DAVIES),
    input_axons=Limit(4096, "input axons a core", DAVIES),
    output_axons=Limit(4096, "output axons a core", DAVIES),
    synapse_bits=Limit(1_048_576, "bits of synaptic memory a core (16,384 words of 64)", DAVIES),
    profiles=Limit(32, "compartment configurations a core", NENGO),
    trace_profiles=Limit(3, "configurations of presynaptic traces a core", NENGO),
    traces=Limit(3, "postsynaptic traces a compartment (y1, y2, y3)", DAVIES),
    delay=Limit(62, "steps beyond one", DAVIES),
    refractory=Limit(63, "steps after the spike", NENGO),
    payload=Limit(0, "bits of a spike's size", DAVIES),
    chips=Limit(16_384, "chips of the spike protocol", DAVIES),
    mesh=(8, 4),  # 32 tiles; the shape is inferred, not published
    cores_per_tile=4,
)
LOIHI2 = Chip(
    name="loihi2",
    cores=Limit(128, "cores a chip", BRIEF),
    compartments=Limit(8192, "neurons a core", BRIEF),
    input_axons=None,
    output_axons=None,
    synapse_bits=Limit(192 * 1024 * 8, "bits a core, shared by synapses and neuron state", BRIEF),
    profiles=None,
    trace_profiles=None,
    traces=None,
    delay=Limit(62, "steps beyond one", "lava-nc 0.10.0: delays 0 to 63, of which Loihi 1 uses 62"),
    refractory=Limit(63, "steps after the spike", NENGO),
    payload=Limit(32, "bits of a spike's size", BRIEF),
    chips=Limit(16_384, "chips; that of Loihi 1, none is published", DAVIES),
    mesh=(8, 4),
    cores_per_tile=4,
)
CHIPS = {chip.name: chip for chip in (LOIHI1, LOIHI2)}

WORD = 64  # bits of a word of synaptic memory
BLOCK = 64  # synapses that one header serves: NENGO, 63 + 1
HEADER = 4 + 6  # bits of a block's header: NENGO
WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 8)  # widths that can be coded: NENGO
INDEX_BITS = (0, 6, 7, 8, 9, 10, 11, 12, 13)  # NENGO; 13 for the 8192 neurons of a Loihi 2 core
STATE_BITS = {"loihi1": 0, "loihi2": 2 * 24 + 16}  # of synaptic memory taken by a compartment: fixed division; u, v and a bias


def chip_named(name: str) -> Chip:
    """The chip of that name."""
    if name not in CHIPS:
        raise unknown_name("chip", name, CHIPS, where="loihi")
    return CHIPS[name]
