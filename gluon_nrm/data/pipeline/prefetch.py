"""Getting the next items ready while the current one is worked on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Deque, Iterator, TypeVar

Item = TypeVar("Item")
_END = object()


def prefetch(items: Iterator[Item], ahead: int = 2) -> Iterator[Item]:
    """Yield ``items``, of which up to ``ahead`` are made beforehand in a thread of their own.

    What an item's making raises is raised here, in its place. When the iteration is given up the thread ends.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        waiting: Deque[Future[Any]] = deque(thread.submit(next, items, _END) for _ in range(ahead))
        try:
            while True:
                item = waiting.popleft().result()
                if item is _END:
                    return
                waiting.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()
