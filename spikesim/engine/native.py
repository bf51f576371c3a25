"""The few things numba does not offer by itself: raw pointers, time stamps,
calls by address, a barrier between threads."""

import platform
import sys

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from spikesim.engine.memory import LINE

SPINS = 50_000  # looks at the barrier before a thread goes to sleep: longer than threads usually wait for each other
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0  # the system call's number
WAIT, WAKE, ALL = 128, 129, 2**31 - 1  # private futexes
BARRIER = 3  # cache lines: arrivals so far, turns that are over, sleepers


@intrinsic
def pointer(typingctx, address, dtype):
    """The address (int64) as a pointer to values of ``dtype``, for `numba.carray`."""
    kind = types.CPointer(dtype.dtype)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.int64, dtype), codegen


@intrinsic
def pointer_like(typingctx, address, value):
    """The address (int64) as a pointer to values of the type of ``value``."""
    kind = types.CPointer(value)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.int64, value), codegen


VECTOR = 16  # weights that are added at once


@intrinsic
def add_vector(typingctx, slots_at, weights_at, one, dtype):
    """Add VECTOR weights of ``dtype`` at one address to as many input slots of the type of ``one`` at another (both int64).

    Rows of weights are often shorter than the loops that a compiler makes of an addition of arrays.
    """

    def codegen(context, builder, signature, args):
        narrow, wide = context.get_value_type(dtype.dtype), context.get_value_type(one)
        weights = builder.inttoptr(args[1], ir.VectorType(narrow, VECTOR).as_pointer())
        slots = builder.inttoptr(args[0], ir.VectorType(wide, VECTOR).as_pointer())
        added = builder.load(weights, align=dtype.dtype.bitwidth // 8)
        if wide.width > narrow.width:
            added = builder.sext(added, ir.VectorType(wide, VECTOR))
        align = one.bitwidth // 8
        builder.store(builder.add(builder.load(slots, align=align), added), slots, align=align)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, one, dtype), codegen


@intrinsic
def ticks(typingctx):
    """The processor's time stamp (int64)."""

    def codegen(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(64), []), "llvm.readcyclecounter")
        return builder.call(function, [])

    return types.int64(), codegen


@intrinsic
def call_sweep(typingctx, function, first, last, addresses, constants):
    """Call the sweep (see `spikesim.engine.sweep`) at the address ``function``; all arguments int64."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word, word, word, word])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(types.int64, types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def _add_atomic(typingctx, address, value):
    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _load_atomic(typingctx, address):
    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(types.int64), codegen


_system_call = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))
_give_way = types.ExternalFunction("sched_yield", types.int32())


@njit
def _sleep(address, turn):
    """Sleep while the int32 at ``address`` is ``turn``, or a little."""
    if FUTEX:
        _system_call(FUTEX, address, WAIT, turn, 0, 0, 0)
    else:
        _give_way()


@njit
def wait_for_all(address, threads, turn):
    """Return when ``threads`` threads have called this ``turn + 1`` times.

    address: of BARRIER cache lines, zeros at first. A thread looks SPINS times, then sleeps, so that one that is kept from
    running gets a core: a thread that only gives its time slice away is at once given the next one.
    """
    turns_at, sleepers_at = address + LINE, address + 2 * LINE
    goal, spins = threads * (turn + 1), SPINS
    if _add_atomic(address, 1) + 1 == goal:
        _add_atomic(turns_at, 1)
        if _load_atomic(sleepers_at) and FUTEX:
            _system_call(FUTEX, turns_at, WAKE, ALL, 0, 0, 0)
        return
    while _load_atomic(address) < goal and spins > 0:
        spins -= 1
    if _load_atomic(address) >= goal:
        return
    _add_atomic(sleepers_at, 1)
    while _load_atomic(address) < goal:
        _sleep(turns_at, turn)
    _add_atomic(sleepers_at, -1)
