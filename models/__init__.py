"""Networks to start from: published spiking networks, torch models small enough to train here, and their data."""
