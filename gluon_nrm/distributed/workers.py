"""The workers of a job, as each of them sees the others."""

from __future__ import annotations

import io
import json
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import numpy as np

from gluon_nrm.distributed.watch import Watch
from gluon_nrm.distributed.worker_links import WorkerLinks, pack, unpack
from gluon_nrm.errors import DistributedError, NonFiniteLoss

#: Named groups of named arrays, and what JSON can hold beside them: the contents of a checkpoint.
Arrays = Mapping[str, Mapping[str, np.ndarray]]


class Workers:
    """All worker processes; by itself, a process is the only one, rank 0 of 1.

    Every worker calls the same methods in the same order; each call waits for the others.

    Args:
        rank: this worker's number, from 0; worker 0 has the run folder.
        size: how many there are.
        links: links to the other workers; None for a single worker.
        watch: ends this process if another one dies.
        kvstore: MXNet's distributed store; None outside a job.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        links: Optional[WorkerLinks] = None,
        watch: Optional[Watch] = None,
        kvstore: Any = None,
    ) -> None:
        self.rank, self.size, self.kvstore = rank, size, kvstore
        self._links, self._watch = links, watch

    @property
    def first(self) -> bool:
        """Whether this worker has the run folder, evaluates and draws."""
        return self.rank == 0

    @property
    def asynchronous(self) -> bool:
        """Whether the servers update at each worker's gradient, without waiting for the others'."""
        return self.kvstore is not None and "async" in self.kvstore.type

    def __enter__(self) -> Workers:
        """The workers themselves; at the end of the ``with`` body they take leave of each other."""
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], _: Any, __: Optional[TracebackType]) -> None:
        """Take leave, unless this worker alone has failed: then the others are to end too."""
        agreed = kind is None or issubclass(kind, (NonFiniteLoss, KeyboardInterrupt, DistributedError))
        if kind is None:
            self.barrier()
        if agreed and self._watch is not None:
            self._watch.close()

    def exchange(self, data: bytes) -> List[bytes]:
        """Give ``data`` to all and return that of each, by rank.

        Raises:
            DistributedError: a worker is gone.
        """
        return [data] if self._links is None else self._links.exchange(data)

    def barrier(self) -> None:
        """Wait until every worker has come this far."""
        self.exchange(b"")

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker."""
        return any(part == b"1" for part in self.exchange(b"1" if flag else b"0"))

    def gather(self, vector: np.ndarray) -> np.ndarray:
        """Return the vectors (n,) of all workers, of one length and type, as (workers, n)."""
        parts = self.exchange(np.ascontiguousarray(vector).tobytes())
        return np.stack([np.frombuffer(part, dtype=vector.dtype) for part in parts])

    def sum(self, vector: np.ndarray) -> np.ndarray:
        """Sum of the vectors (n,) of all workers, in the order of their ranks: the same bits on each."""
        return self.gather(vector).sum(axis=0, dtype=vector.dtype)

    def from_first(self, value: Any) -> Any:
        """Worker 0's ``value``, anything JSON can hold; what the others pass is not looked at."""
        return json.loads(self.exchange(json.dumps(value).encode("utf-8") if self.first else b"")[0])

    def arrays_from_first(
        self, arrays: Arrays, state: Mapping[str, Any]
    ) -> Tuple[Dict[str, Dict[str, np.ndarray]], Dict[str, Any]]:
        """Worker 0's arrays and state; what the others pass is not looked at."""
        if self._links is None:
            return {name: dict(group) for name, group in arrays.items()}, dict(state)
        found = self.exchange(_encode(arrays, state) if self.first else b"")[0]
        return _decode(found)


def _encode(arrays: Arrays, state: Mapping[str, Any]) -> bytes:
    header = json.dumps({"groups": list(arrays), "state": dict(state)}).encode("utf-8")
    files = [io.BytesIO() for _ in arrays]
    for file, group in zip(files, arrays.values()):
        np.savez(file, **dict(group))
    return pack([header, *(file.getvalue() for file in files)])


def _decode(message: bytes) -> Tuple[Dict[str, Dict[str, np.ndarray]], Dict[str, Any]]:
    header, *files = unpack(message)
    fields = json.loads(header)
    arrays = {}
    for name, file in zip(fields["groups"], files):
        with np.load(io.BytesIO(file), allow_pickle=False) as group:
            arrays[name] = {key: group[key] for key in group.files}
    return arrays, fields["state"]
