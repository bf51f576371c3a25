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
VECTORS = 12  # of them, the most that are added in a row without a loop


@intrinsic
def add_rows(typingctx, slots_at, weights_at, vectors, rows, slots_step, weights_step, size, one, dtype):
    """Add rows of 1 to VECTORS vectors of weights of ``dtype``, times ``size`` if it is not None, to input slots of the type of ``one``.

    From one row to the next the addresses of slots and weights grow by so many bytes. Rows are short: the loops that a compiler
    makes of an addition of arrays take longer to begin and to end than to run. So there is a loop over rows for each length.
    """

    def codegen(context, builder, signature, args):
        narrow, wide = (ir.VectorType(context.get_value_type(kind), VECTOR) for kind in (dtype.dtype, one))
        factor = None if size is types.none else _vector_of(builder, _widened(builder, args[6], wide.element), wide)
        before, end = builder.block, builder.append_basic_block("end")
        choice = builder.switch(args[2], end)
        for length in range(1, VECTORS + 1):
            loop = builder.append_basic_block("rows")
            choice.add_case(ir.Constant(args[2].type, length), loop)
            builder.position_at_end(loop)
            states = []
            for given in (args[0], args[1], args[3]):
                state = builder.phi(given.type)
                state.add_incoming(given, before)
                states.append(state)
            slots_at, weights_at, left = states
            slots, weights = (builder.inttoptr(at, kind.as_pointer()) for at, kind in ((slots_at, wide), (weights_at, narrow)))
            for k in range(length):
                place = [ir.Constant(left.type, k)]
                added = _widened(builder, builder.load(builder.gep(weights, place), align=dtype.dtype.bitwidth // 8), wide)
                added = added if factor is None else builder.mul(added, factor)
                slot, align = builder.gep(slots, place), one.bitwidth // 8
                builder.store(builder.add(builder.load(slot, align=align), added), slot, align=align)
            new = builder.add(slots_at, args[4]), builder.add(weights_at, args[5]), builder.sub(left, ir.Constant(left.type, 1))
            for state, value in zip(states, new, strict=True):
                state.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed(">", new[2], ir.Constant(left.type, 0)), loop, end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, size, one, dtype), codegen


def _widened(builder, value, kind):
    return value if value.type == kind else builder.sext(value, kind)


def _vector_of(builder, value, kind):
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count))


WORD = 64  # flags that are looked at together


@intrinsic
def marks(typingctx, address, dtype):
    """Which of the WORD values of ``dtype`` at an address are not 0: a bit (of an int64) for each, the first the lowest."""

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(context.get_value_type(dtype.dtype), WORD)
        values = builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=dtype.dtype.bitwidth // 8)
        return builder.bitcast(builder.icmp_signed("!=", values, ir.Constant(kind, None)), ir.IntType(WORD))

    return types.int64(types.int64, dtype), codegen


@intrinsic
def ones(typingctx, word):
    """How many bits of an int64 are 1."""
    return types.int64(types.int64), lambda context, builder, signature, args: builder.ctpop(args[0])


@intrinsic
def first_one(typingctx, word):
    """The place of the lowest bit of an int64 that is 1, WORD if there is none."""
    return types.int64(types.int64), lambda context, builder, signature, args: builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))


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
