"""torch's state that belongs to the whole process: what is changed for a while is put back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_torch_state(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and set its threads; afterwards both are as the caller had them."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
