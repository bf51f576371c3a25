"""Progress bars on a terminal; silent everywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from spikesim.network import Network
from spikesim.summary import expected_synapses

BUILDING_SHOWN_FROM = 20_000_000  # synapses; fewer are drawn before a bar could be read


class Progress:
    """A bar over ``total`` units; ``note(done, spikes, seconds)`` writes what stands beside it."""

    def __init__(self, title: str, total: int, note: Callable[[int, int, float], str], *, shown: bool) -> None:
        self.title, self.total, self.note = title, total, note
        self.shown = shown and sys.stderr.isatty()
        self.done = self.spikes = 0
        self.started = time.perf_counter()
        self.lock = threading.Lock()  # tables are built, and trials run, in several threads
        self.bar: Any = None

    @classmethod
    def of_building(cls, network: Network, *, shown: bool) -> Progress:
        expected = sum(expected_synapses(network).values())
        return cls("building", int(2 * expected), lambda done, spikes, seconds: f"{done / 2e6:.1f} M synapses",
                   shown=shown and expected >= BUILDING_SHOWN_FROM)  # fmt: skip

    @classmethod
    def of_running(cls, steps: int, dt: float, *, shown: bool) -> Progress:
        def note(done: int, spikes: int, seconds: float) -> str:
            model = done * dt * 1e-3
            return f"{done / seconds:,.0f} steps/s  wall/model {seconds / model:.3g}  {spikes / seconds:,.0f} spikes/s"

        return cls("running", steps, note, shown=shown)

    @classmethod
    def of_trials(cls, trials: int, *, shown: bool) -> Progress:
        return cls("trials", trials, lambda done, spikes, seconds: f"{done / seconds:,.1f} trials/s", shown=shown)

    def __enter__(self) -> Progress:
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
                           TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True)  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total, note="")
        return self

    def tick(self, done: int, spikes: int = 0) -> None:
        """So many more units are done."""
        with self.lock:
            self.done += done
            self.spikes += spikes
            if self.bar is not None:
                self.bar.update(self.task, advance=done, note=self.note(self.done, self.spikes, time.perf_counter() - self.started))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()
