"""The few things numba does not offer by itself: raw pointers, time stamps, calls by address."""

from llvmlite import ir
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
