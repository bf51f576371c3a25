"""Asking for memory ahead of its use, which numba does not offer."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line at the address (int64), which will be read soon."""

    def codegen(context, builder, signature, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0"
        )
        read, near, data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(args[0], byte), read, near, data])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
