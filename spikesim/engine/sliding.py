"""Sliding: the spikes of a line of an image go through a convolution with the sums of the targets that they meet in registers.

A processor adds to registers three times as fast as to memory. So where there are about as many spikes as places, a window of sums
slides along the line: at each place the weights of its spikes are added to the targets that the place meets, then the target that
no later place meets goes to its input slots.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikesim.engine.native import VECTOR, vector_of, widened

REGISTERS = 24  # vectors of sums; a few more are needed for weights
ROWS = 3  # of a kernel that slide together, at most
SPIKES = 0.75  # to a place of the line, from which on sliding takes less time
KERNELS = {  # (stride, columns): for each place up to the next column of the target the first of the kernel's columns, and how many
    (1, 1): [(0, 1)],
    (1, 3): [(0, 3)],
    (1, 5): [(0, 5)],
    (2, 1): [(0, 1), (0, 0)],
    (2, 3): [(2, 1), (0, 2)],
}  # fmt: skip
VECTORS = 1, 2, 3, 4, 6, 8  # of channels of the target
SHAPES = {shape: 1 + at for at, shape in enumerate((*kernel, vectors) for kernel in KERNELS for vectors in VECTORS
                                                   if kernel[1] * vectors <= REGISTERS)}  # fmt: skip


def shape_of(stride: int, columns: int, channels: int) -> int:
    """The number of the loop for a kernel of so many columns and channels of the target, 0 if there is none."""
    return 0 if channels % VECTOR else SHAPES.get((stride, columns, channels // VECTOR), 0)


def open_columns(stride: int, columns: int) -> int:
    """How many columns of the target a place can meet."""
    return (columns + stride - 1) // stride


def most_rows(stride: int, columns: int, channels: int) -> int:
    """How many rows of the kernel slide together."""
    return max(1, min(ROWS if columns > 1 else 1, REGISTERS // max(1, open_columns(stride, columns) * channels // VECTOR)))


@intrinsic
def slide(typingctx, shape, rows, spikes_at, sizes_at, count, start, channels, channel_bytes, first, last, offset, width,
          slots_at, slots_step, weights_at, weights_step, one, dtype):  # fmt: skip
    """Add what the spikes of a line bring to ``rows`` rows of the target.

    shape: of `shape_of`. spikes_at: of ``count`` int32 neuron numbers in order, those of places and channels counted from
    ``start``; sizes_at: of their int32 sizes, or None. first, last: the columns of the target to go through, some perhaps
    beyond its ``width``; column j is the first that place stride * j + ``offset`` meets. channel_bytes: between the weights of
    two channels of the source. slots_step, weights_step: bytes between the slots, and the weights, of two rows. one, dtype: as
    of `spikesim.engine.native.add_rows`, int32 and int16.
    """

    def codegen(context, builder, signature, args):
        end = builder.append_basic_block("end")
        choice = builder.switch(builder.add(builder.mul(args[0], _int(ROWS + 1)), args[1]), end)
        kinds = [ir.VectorType(context.get_value_type(kind), VECTOR) for kind in (dtype.dtype, one)]
        names = ("spikes_at sizes_at count start channels channel_bytes first last offset width slots_at slots_step "
                 "weights_at weights_step").split()  # fmt: skip
        given = dict(zip(names, args[2:16], strict=True)) | ({"sizes_at": None} if sizes_at is types.none else {})
        for (stride, columns, vectors), number in SHAPES.items() if one.bitwidth == 32 else ():
            for together in range(1, ROWS + 1):
                if together <= most_rows(stride, columns, vectors * VECTOR):
                    block = builder.append_basic_block("slide")
                    choice.add_case(_int(number * (ROWS + 1) + together), block)
                    builder.position_at_end(block)
                    _Loop(builder, given, stride, columns, vectors, together, *kinds).write(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3, sizes_at, *[types.int64] * 12, one, dtype), codegen


def _int(number):
    return ir.Constant(ir.IntType(64), number)


class _Loop:
    """The instructions for one shape and number of rows."""

    def __init__(self, builder, given, stride, columns, vectors, rows, narrow, wide):
        self.builder, self.given, self.narrow, self.wide = builder, given, narrow, wide
        self.stride, self.places, self.vectors = stride, KERNELS[stride, columns], vectors
        sums = rows, open_columns(stride, columns), vectors
        self.sums = [[[self._variable(wide) for _ in range(sums[2])] for _ in range(sums[1])] for _ in range(sums[0])]
        self.column, self.spike = self._variable(ir.IntType(64)), self._variable(ir.IntType(64))

    def _variable(self, kind):
        return cgutils.alloca_once(self.builder, kind)

    def write(self, end):
        """From the builder's block to ``end``."""
        builder, given = self.builder, self.given
        for each in (each for row in self.sums for column in row for each in column):
            builder.store(ir.Constant(self.wide, None), each)
        builder.store(given["first"], self.column)
        builder.store(_int(0), self.spike)
        loop, write, move = (builder.append_basic_block(name) for name in ("column", "write", "move"))
        builder.branch(loop)
        builder.position_at_end(loop)
        column = builder.load(self.column)
        place = builder.add(builder.mul(column, _int(self.stride)), given["offset"])
        for k, columns in enumerate(self.places):
            self._go_through(builder.add(place, _int(k)), *columns)
        builder.cbranch(builder.icmp_unsigned("<", column, given["width"]), write, move)
        builder.position_at_end(write)
        self._write(column)
        builder.branch(move)
        builder.position_at_end(move)
        self._move()
        after = builder.add(column, _int(1))
        builder.store(after, self.column)
        builder.cbranch(builder.icmp_signed("<", after, given["last"]), loop, end)

    def _go_through(self, place, first, columns):
        """Add the weights of the spikes of a place, those of ``columns`` columns of the kernel from ``first`` on."""
        builder, given = self.builder, self.given
        spike, look, add, after = (builder.append_basic_block(name) for name in ("spike", "look", "add", "after"))
        origin = builder.add(given["start"], builder.mul(place, given["channels"]))
        builder.branch(spike)
        builder.position_at_end(spike)
        n = builder.load(self.spike)
        builder.cbranch(builder.icmp_signed("<", n, given["count"]), look, after)
        builder.position_at_end(look)
        channel = builder.sub(self._number(given["spikes_at"], n), origin)
        builder.cbranch(builder.icmp_signed("<", channel, given["channels"]), add, after)
        builder.position_at_end(add)
        self._add(channel, n, first, columns)
        builder.store(builder.add(n, _int(1)), self.spike)
        builder.branch(spike)
        builder.position_at_end(after)

    def _number(self, address, n):
        """The n-th int32 at an address, as int64."""
        kind = ir.IntType(32)
        at = self.builder.gep(self.builder.inttoptr(address, kind.as_pointer()), [n])
        return self.builder.sext(self.builder.load(at), ir.IntType(64))

    def _add(self, channel, n, first, columns):
        """Add the weights of a spike to the sums of the first columns."""
        builder, given = self.builder, self.given
        factor = None if given["sizes_at"] is None else self._factor(n)
        at = builder.add(given["weights_at"], builder.mul(channel, given["channel_bytes"]))
        for row in self.sums:
            weights = builder.inttoptr(at, self.narrow.as_pointer())
            for k, each in enumerate((each for column in row[:columns] for each in column), first * self.vectors):
                added = widened(builder, builder.load(builder.gep(weights, [_int(k)]), align=self.narrow.element.width // 8), self.wide)
                added = added if factor is None else builder.mul(added, factor)
                builder.store(builder.add(builder.load(each), added), each)
            at = builder.add(at, given["weights_step"])

    def _factor(self, n):
        """The size of the n-th spike, for each sum."""
        size = self._number(self.given["sizes_at"], n)
        kind = self.wide.element
        return vector_of(self.builder, size if size.type == kind else self.builder.trunc(size, kind), self.wide)

    def _write(self, column):
        """Add the sums of the first column to its input slots."""
        builder, given = self.builder, self.given
        bytes_of_column = VECTOR * self.vectors * self.wide.element.width // 8
        at = builder.add(given["slots_at"], builder.mul(column, _int(bytes_of_column)))
        for row in self.sums:
            slots = builder.inttoptr(at, self.wide.as_pointer())
            for k, each in enumerate(row[0]):
                slot, align = builder.gep(slots, [_int(k)]), self.wide.element.width // 8
                builder.store(builder.add(builder.load(slot, align=align), builder.load(each)), slot, align=align)
            at = builder.add(at, given["slots_step"])

    def _move(self):
        """Let the second column be the first."""
        for row in self.sums:
            for column, following in zip(row, [*row[1:], None], strict=True):
                for k, each in enumerate(column):
                    value = ir.Constant(self.wide, None) if following is None else self.builder.load(following[k])
                    self.builder.store(value, each)
