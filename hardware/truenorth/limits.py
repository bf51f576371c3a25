"""The limits and energies of TrueNorth: numbers with unit and source, nothing else.

Sources: A15 Akopyan et al. (2015), IEEE TCAD 34:1537; M14 Merolla et al. (2014), Science 345:668; C13 Cassidy et al. (2013),
IJCNN. The widths of a neuron's parameters stand beside its equation, in `spikesim.neurons.truenorth`.
"""

AXONS = 256  # of a core (M14)
NEURONS = 256  # of a core (M14)
WORDS = 4  # 64-bit words of a crossbar row, one bit for each neuron
AXON_TYPES = 4  # 2 bits an axon (M14)
CHIP_WIDTH = 64  # cores from west to east (A15)
CHIP_HEIGHT = 64  # cores from north to south (A15)
REACH = 255  # cores, of dx and of dy, 9 bits with sign (A15)
LEAST_DELAY, MOST_DELAY = 1, 15  # ticks, 4 bits (A15)
SLOTS = 16  # ticks that the scheduler of a core looks ahead (A15)
TICK = 1.0  # ms (M14)
MOST_CHIPS = 16  # in a row and in a column; the 4 x 4 board of A15 is the largest published

# energy at 0.775 V, 20 Hz, 128 active synapses a neuron
SYNAPTIC_EVENT = 26.0  # pJ, all power of the chip divided by its synaptic events (M14)
IDLE_POWER = 42.0  # mW, of a chip without spikes at 0.70 V (A15)
TYPICAL_POWER = 65.0  # mW, of a chip at 0.75 V, 20 Hz, 128 synapses (A15)
HOP = 2.3  # pJ, of a spike from one core to the next (A15: 72 fJ a bit, 32 bits)
CHIP_CROSSING = 832.0  # pJ, of a spike from chip to chip (A15: 26 pJ a bit)
PERIPHERY = 64.0  # pJ, of a spike between a core and the border (A15: 2 pJ a bit)
