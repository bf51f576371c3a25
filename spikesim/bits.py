"""Bits of machine words, which numba does not count or find."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def lowest_bit(typingctx, word):
    """The place of the lowest bit that is 1 in a word (int64 or uint64), 64 if there is none."""
    return types.int64(word), lambda context, builder, signature, args: builder.cttz(args[0], ir.IntType(1)(0))


@intrinsic
def ones(typingctx, word):
    """How many bits of a word (int64 or uint64) are 1."""
    return types.int64(word), lambda context, builder, signature, args: builder.ctpop(args[0])
