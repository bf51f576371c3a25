"""A convolutional network (LeCun et al. 1998) trained on scikit-learn's handwritten digits, converted to spikes.

Thresholds come from the activations on the training images (Rueckauer et al. 2017), neurons start half-way to them (Bu
et al. 2022), and the held-out images are classified from the output's membrane potential after each step.
"""

from spikesim.convert import from_torch
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import accuracy, train

data = digits()
module = train(digits_lenet(), data.train_images, data.train_labels)
snn = from_torch(module, data.train_images)
print(snn.report)

result = snn.run(data.test_images, steps=16)
print(f"ANN {100 * accuracy(module, data.test_images, data.test_labels):.1f} %")
for step, share in enumerate(result.accuracy(data.test_labels), start=1):
    print(f"SNN after {step:2d} steps: {100 * share:.1f} %")
print(f"{result.total_spikes.mean():,.0f} spikes and {result.total_operations.mean():,.0f} synaptic operations an image")
