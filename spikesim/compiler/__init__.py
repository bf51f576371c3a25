"""The compiler: from a `Network` to a `Program`."""

from spikesim.compiler.compile import compile_network as compile_network
