"""Progress of a worker that has nothing to show: worker 0 shows it for all."""

from __future__ import annotations

from typing import Any, Mapping

from gluon_nrm.console.progress import Progress


class Silence(Progress):
    """Takes what ``Progress`` takes, and neither shows nor logs it."""

    def __init__(self) -> None:
        pass

    def close(self) -> None:
        pass

    def step(self, n_images: int) -> None:
        pass

    def epoch(self, row: Mapping[str, Any]) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def show(self, text: str) -> None:
        pass
