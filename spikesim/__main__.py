"""`python -m spikesim` is the command line."""

from spikesim.cli import main

main()
