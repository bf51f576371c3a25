"""Published spiking networks as builders of a `Network`, one paper a file."""
