"""Compute the next items of an iterator in a thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Deque, Iterator, TypeVar

Item = TypeVar("Item")
_END = object()


def prefetch(items: Iterator[Item], ahead: int = 2) -> Iterator[Item]:
    """Yield ``items``; a thread computes up to ``ahead`` of them in advance.

    An exception of an item is raised here in its place. The thread ends with the iteration.
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
