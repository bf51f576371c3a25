"""Threads that wait draw the Poisson drive of steps to come, their own and others': each step's once, and only into rows that are free."""

import numpy as np
import pytest
from numba import njit

from spikesim.engine import cpu
from spikesim.engine.ahead import draw_ahead, have_drive
from spikesim.network import Network
from spikesim.neurons import LIF
from spikesim.simulation import Simulation
from spikesim.stimulus import PoissonDrive
from spikesim.synapses import Delta


@njit
def ahead(plans, zero, worker, step, last):
    return draw_ahead(plans[0], zero, worker, step, last)


@njit
def have(plans, zero, worker, part, step):
    have_drive(plans[0], zero, worker, part, step)


@pytest.fixture
def engine(monkeypatch) -> cpu.Cpu:
    """Two threads with a part each, whatever the number of cores."""
    monkeypatch.setattr(cpu, "cores", lambda: 2)
    net = Network()
    cells = net.population("cells", 2000, LIF(receptors={"hit": Delta()}))
    net.stimulate(cells, PoissonDrive(rate=5_000.0, weight=0.1, receptor="hit"))
    net.record(cells, "spikes")
    return Simulation(net, dt=0.1, seed=7, threads=2).engine


def drive(engine: cpu.Cpu, step: int) -> list[np.ndarray]:
    """What the row of a step holds for each part."""
    (rows,) = engine.drives.values()
    return [share.copy() for share in rows[step % engine.lead].shares]


def test_own_steps_first_then_those_of_the_others(engine):
    zero = engine.types[1]
    have(engine.plan, zero, 0, 0, 0)
    done = [ahead(engine.plan, zero, 0, 0, 100) for _ in range(10)]
    assert done == [True] * 6 + [False] * 4  # its own steps 1, 2 and 3; of the other part 0, 1 and 2, for it may lag a step behind
    assert engine.claims[:, 0].tolist() == [4, 3]


def test_no_step_beyond_the_last(engine):
    zero = engine.types[1]
    have(engine.plan, zero, 0, 0, 0)
    assert [ahead(engine.plan, zero, 0, 0, 2) for _ in range(4)] == [True, True, True, False]
    assert engine.claims[:, 0].tolist() == [2, 2]


def test_whoever_draws_it_is_the_same_drive(engine):
    zero = engine.types[1]
    for part in range(2):
        have(engine.plan, zero, part, part, 0)
        have(engine.plan, zero, part, part, 1)
    known = drive(engine, 1)
    assert all(each.any() for each in known)
    engine.claims[:] = 0
    for row in next(iter(engine.drives.values())):
        row.write(np.full(2000, -1.0))
    have(engine.plan, zero, 0, 0, 0)
    while ahead(engine.plan, zero, 0, 0, 100):
        pass
    have(engine.plan, zero, 1, 1, 0)  # drawn by the other thread, so that it returns at once
    for part, values in enumerate(drive(engine, 1)):
        assert np.array_equal(values, known[part])


def test_a_chunk_begins_anew(engine):
    engine.advance(7)
    assert engine.claims[:, 0].tolist() == [7, 7]
    engine.advance(5)
    assert engine.claims[:, 0].tolist() == [12, 12]


def test_one_thread_keeps_one_row(monkeypatch):
    monkeypatch.setattr(cpu, "cores", lambda: 1)
    net = Network()
    cells = net.population("cells", 10, LIF(receptors={"hit": Delta()}))
    net.stimulate(cells, PoissonDrive(rate=5_000.0, weight=0.1, receptor="hit"))
    assert Simulation(net, dt=0.1, seed=7, threads=2).engine.lead == 1
