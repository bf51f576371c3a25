"""A barrier between threads of compiled code, which numba does not offer."""

import platform
import sys

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LINE = 64  # bytes of a cache line
SPINS = 50_000  # looks at the barrier before a thread goes to sleep: longer than threads usually wait for each other
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0  # the system call's number
WAIT, WAKE, ALL = 128, 129, 2**31 - 1  # private futexes
BARRIER = 3  # cache lines: arrivals so far, turns that are over, sleepers


@intrinsic
def _add_atomic(typingctx, address, value):
    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def load_atomic(typingctx, address):
    """The int64 at ``address``; what was written before it was is seen from now on."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store_atomic(typingctx, address, value):
    """Write an int64, after all that was written before."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store_atomic(args[1], place, "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), codegen


@intrinsic
def exchange_atomic(typingctx, address, known, new):
    """Write ``new`` where ``known`` stands; False if something else does."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.extract_value(builder.cmpxchg(place, args[1], args[2], "seq_cst", "seq_cst"), 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


_system_call = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))
give_way = types.ExternalFunction("sched_yield", types.int32())


@njit
def _sleep(address, turn):
    """Sleep while the int32 at ``address`` is ``turn``, or a little."""
    if FUTEX:
        _system_call(FUTEX, address, WAIT, turn, 0, 0, 0)
    else:
        give_way()


@njit
def arrive(address, threads):
    """Say that this thread has come to the barrier; the last one of a turn wakes those that sleep.

    address: of BARRIER cache lines, zeros at first. A thread waits (`wait`) before it comes again.
    """
    turns_at, sleepers_at = address + LINE, address + 2 * LINE
    if (_add_atomic(address, 1) + 1) % threads == 0:
        _add_atomic(turns_at, 1)
        if load_atomic(sleepers_at) and FUTEX:
            _system_call(FUTEX, turns_at, WAKE, ALL, 0, 0, 0)


@njit
def have_come(address, threads, turn):
    """Whether ``threads`` threads have come ``turn + 1`` times."""
    return load_atomic(address) >= threads * (turn + 1)


@njit
def wait(address, threads, turn):
    """Return when ``threads`` threads have come ``turn + 1`` times.

    A thread looks SPINS times, then sleeps, so that one that is kept from running gets a core: a thread that only gives its
    time slice away is at once given the next one.
    """
    turns_at, sleepers_at = address + LINE, address + 2 * LINE
    goal, spins = threads * (turn + 1), SPINS
    while load_atomic(address) < goal and spins > 0:
        spins -= 1
    if load_atomic(address) >= goal:
        return
    _add_atomic(sleepers_at, 1)
    while load_atomic(address) < goal:
        _sleep(turns_at, turn)
    _add_atomic(sleepers_at, -1)


@njit
def wait_for_all(address, threads, turn):
    """Come to the barrier and wait there."""
    arrive(address, threads)
    wait(address, threads, turn)
