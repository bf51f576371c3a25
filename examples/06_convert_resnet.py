"""A residual network (He et al. 2016) of your own, written with functional operators, trained on digits and converted to spikes.

The conversion follows what `forward` does, so it does not matter whether an operator is a module, a function or a sign. The
comparison says for each layer where its error comes from: clipping, quantisation, or the uneven times of spikes (Bu et al. 2022).
"""

import torch
import torch.nn.functional as F
from torch import nn

from spikesim.convert import from_torch
from spikesim.models.data import digits
from spikesim.models.train import train


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        change = self.norm2(self.second(F.relu(self.norm1(self.first(x)))))
        return torch.relu(x + change)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(1, 12, 3, padding=1)
        self.block1, self.block2 = Block(12), Block(12)
        self.classify = nn.Linear(12 * 4, 10)

    def forward(self, x):
        x = self.block1(F.max_pool2d(self.enter(x).relu(), 2))
        x = F.avg_pool2d(self.block2(x), 2)
        return self.classify(x.flatten(1))


torch.manual_seed(0)
data = digits()
module = train(Net(), data.train_images, data.train_labels, epochs=5)

for burst in (1, 4):  # plain spikes, then graded ones worth a quarter of them
    snn = from_torch(module, data.train_images, burst=burst)
    found = snn.compare(data.test_images, data.test_labels, steps=32, sample=16)
    print(f"\nAt most {burst} spikes a neuron and step")
    print(found)
    found.save(f"resnet_burst{burst}.html")

settled = from_torch(module, data.train_images, coding="signed")
result = settled.run(data.test_images, steps=200)
print(f"\nSigned spikes settle after {result.ended.mean():.0f} steps, {100 * result.accuracy(data.test_labels)[-1]:.1f} % are right")
