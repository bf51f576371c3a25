"""The few things numba does not offer by itself: raw pointers, time stamps, calls by address."""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


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


@intrinsic
def opaque(typingctx, value):
    """The value (int64), of which the compiler knows nothing, so that it neither unrolls nor rearranges the loop that counts by it."""

    def codegen(context, builder, signature, args):
        word = args[0].type
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", args, side_effect=False)

    return types.int64(types.int64), codegen


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
        factor = None if size is types.none else vector_of(builder, widened(builder, args[6], wide.element), wide)
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
                added = widened(builder, builder.load(builder.gep(weights, place), align=dtype.dtype.bitwidth // 8), wide)
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


def widened(builder, value, kind):
    """A vector of integers as one of ``kind``."""
    return value if value.type == kind else builder.sext(value, kind)


def vector_of(builder, value, kind):
    """A vector of ``kind`` whose elements are all ``value``."""
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
def count_reached(typingctx, words_at, limits_at, number, least, last, counts_at):
    """Write ``least`` plus how many of the limits (uint16) each of WORD words (uint16) reaches, uint16; tell which words reach ``last``.

    All arguments int64. Every word is compared with every limit, many at once, which is faster than a table of answers. Returns a
    bit for each word, the first the lowest.
    """

    def codegen(context, builder, signature, args):
        word, kind = args[2].type, ir.VectorType(ir.IntType(16), WORD)
        words = builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=2)
        limits = builder.inttoptr(args[1], kind.element.as_pointer())
        least, before_last = (vector_of(builder, builder.trunc(value, kind.element), kind)
                              for value in (args[3], builder.sub(args[4], word(1))))  # fmt: skip
        before, loop, body, end = builder.block, *(builder.append_basic_block(name) for name in ("loop", "body", "end"))
        builder.branch(loop)
        builder.position_at_end(loop)
        at, counts = builder.phi(word), builder.phi(kind)
        builder.cbranch(builder.icmp_signed("<", at, args[2]), body, end)
        builder.position_at_end(body)
        limit = vector_of(builder, builder.load(builder.gep(limits, [at]), align=2), kind)
        more = builder.sub(counts, builder.sext(builder.icmp_unsigned(">=", words, limit), kind))
        for state, value, following in ((at, word(0), builder.add(at, word(1))), (counts, least, more)):
            state.add_incoming(value, before)
            state.add_incoming(following, body)
        builder.branch(loop)
        builder.position_at_end(end)
        builder.store(counts, builder.inttoptr(args[5], kind.as_pointer()), align=2)
        return builder.bitcast(builder.icmp_unsigned(">", words, before_last), ir.IntType(WORD))

    return types.int64(*[types.int64] * 6), codegen


COMPRESSES = bool(get_host_cpu_features().get("avx512f"))  # whether the processor puts the marked elements of a vector in a row


@intrinsic
def append_marked(typingctx, address, word, first):
    """Write first + k for each bit k of ``word`` that is 1, as int32 in order from ``address`` on, over whatever is in the next WORD."""

    def codegen(context, builder, signature, args):
        at, word, first = args
        kind = ir.VectorType(ir.IntType(32), VECTOR)
        mask = ir.VectorType(ir.IntType(1), VECTOR)
        name = f"llvm.experimental.vector.compress.v{VECTOR}i32"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind, mask, kind]), name)
        for begin in range(0, WORD, VECTOR):
            bits = builder.trunc(builder.lshr(word, ir.Constant(word.type, begin)), ir.IntType(VECTOR))
            start = vector_of(builder, builder.trunc(first, kind.element), kind)
            numbers = builder.add(start, ir.Constant(kind, list(range(begin, begin + VECTOR))))
            marked = builder.call(function, [numbers, builder.bitcast(bits, mask), numbers])
            builder.store(marked, builder.inttoptr(at, kind.as_pointer()), align=4)
            at = builder.add(at, builder.mul(builder.zext(builder.ctpop(bits), at.type), ir.Constant(at.type, 4)))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), codegen


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
