"""Real data sets that come with an installed package, split into training and test parts."""

from spikesim.models.data.diabetes import diabetes_progression as diabetes_progression
from spikesim.models.data.fashion import fashion_mnist as fashion_mnist
from spikesim.models.data.optical_digits import Graph as Graph
from spikesim.models.data.optical_digits import digit_anomalies as digit_anomalies
from spikesim.models.data.optical_digits import digit_graph as digit_graph
from spikesim.models.data.optical_digits import digit_paintings as digit_paintings
from spikesim.models.data.optical_digits import digit_volumes as digit_volumes
from spikesim.models.data.optical_digits import digits as digits
from spikesim.models.data.split import UNLABELLED as UNLABELLED
from spikesim.models.data.split import Split as Split
from spikesim.models.data.split import Task as Task
