"""Conversion: from a torch module to a spiking network and a report of what became of it."""
