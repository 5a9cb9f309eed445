"""What workers exchange and agree on, without MXNet's store: several workers in threads, linked by pipes."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Callable, Dict, List

import mxnet as mx
import numpy as np
import pytest
from short_runs import FULL, SUPERVISED, TEMPORAL, built, recipe, values

from gluon_nrm.data import Cutout, DataSource, Split, Step, Streams, draw_split, make_augmentation
from gluon_nrm.data.facts.facts import describe_data
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.distributed import worker_links as links_module
from gluon_nrm.distributed.agreement import check_data, check_software
from gluon_nrm.distributed.worker_links import WorkerLinks, pack, unpack
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import DeviceError, DistributedError
from gluon_nrm.optimisation.rates import Rates
from gluon_nrm.optimisation.schedules import learning_rate, stretches
from gluon_nrm.training.device_statistics import (
    device_statistics,
    load_device_statistics,
    synchronise_statistics,
)
from gluon_nrm.training.server_updates import check_asynchronous
from gluon_nrm.training.stream_terms import StreamTerms, TermSums, gather_terms

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")


def links_of(size: int, hub: int = 0) -> List[WorkerLinks]:
    """Links between so many workers."""
    pipes = {rank: Pipe() for rank in range(size) if rank != hub}
    return [
        WorkerLinks(rank, size, {hub: pipes[rank][1]}, False)
        if rank != hub
        else WorkerLinks(rank, size, {other: pipe[0] for other, pipe in pipes.items()}, True)
        for rank in range(size)
    ]


def together(size: int, work: Callable[[Workers], Any], hub: int = 0) -> List[Any]:
    """What ``work`` returns on each of so many workers, by rank; what one raises is raised."""
    team = [Workers(rank, size, star) for rank, star in enumerate(links_of(size, hub))]
    with ThreadPool(size) as threads:
        return threads.map(work, team, chunksize=1)


@pytest.mark.parametrize("hub", [0, 1, 2])
def test_exchanges(hub: int) -> None:
    def work(workers: Workers) -> List[Any]:
        own = np.full(2, workers.rank + 0.5, np.float32)
        return [
            workers.exchange(b"x" * workers.rank),
            workers.gather(own).tolist(),
            workers.sum(own).tolist(),
            workers.any(workers.rank == 2),
            workers.any(False),
            workers.from_first({"rank": workers.rank}),
        ]

    rows = [[rank + 0.5] * 2 for rank in range(3)]
    expected = [[b"", b"x", b"xx"], rows, [4.5, 4.5], True, False, {"rank": 0}]
    assert together(3, work, hub) == [expected] * 3


def test_alone() -> None:
    workers = Workers()
    assert workers.first and not workers.asynchronous
    assert workers.exchange(b"x") == [b"x"] and workers.any(True) and workers.from_first([1]) == [1]
    assert workers.sum(np.ones(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("parts", [[], [b""], [b"", b"a", b"bc" * 1000]])
def test_messages(parts: List[bytes]) -> None:
    assert unpack(pack(parts)) == parts


def test_arrays_come_bit_by_bit() -> None:
    arrays: Dict[str, Dict[str, np.ndarray]] = {
        "student": {"a.b": np.array([[1.0, -0.0, np.nan, 1e-45]], np.float32), "empty": np.zeros((0, 3))},
        "optimiser": {},
    }
    state = {"step": 7, "tally": {"total": 0.1}}

    def work(workers: Workers) -> Any:
        return workers.arrays_from_first(arrays if workers.first else {}, state if workers.first else {})

    for found, found_state in together(2, work, hub=1):
        assert found_state == state and found.keys() == arrays.keys() and found["optimiser"] == {}
        for name, array in arrays["student"].items():
            other = found["student"][name]
            assert (other.tobytes(), other.shape, other.dtype) == (array.tobytes(), array.shape, array.dtype)  # type: ignore[attr-defined]


@pytest.mark.parametrize("gone", [0, 1])
def test_a_broken_link_is_an_error(gone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "PATIENCE", 0.0)
    pair = links_of(2)
    for link in pair[gone]._links.values():
        link.close()
    with pytest.raises(DistributedError, match="link to another worker broke"):
        pair[1 - gone].exchange(b"x")


# ---- agreement


ENVIRONMENT = {"gluon_nrm": "0.1", "commit": "abc", "uncommitted_changes": False, "mxnet": "1", "numpy": "2"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gluon_nrm", "0.2"),
        ("commit", "def"),
        ("uncommitted_changes", True),
        ("mxnet", "3"),
        ("numpy", None),
    ],
)
def test_software_that_differs(key: str, value: Any) -> None:
    def work(workers: Workers) -> str:
        own = {**ENVIRONMENT, **({key: value} if workers.rank == 2 else {})}
        with pytest.raises(DistributedError) as caught:
            check_software(workers, own, recipe(FULL), [mx.cpu()])
        return str(caught.value)

    messages = together(3, work)
    assert messages == messages[:1] * 3
    assert f"{key} is {ENVIRONMENT[key]} on worker 0 (" in messages[0]
    assert f", {value} on worker 2 (" in messages[0]


@pytest.mark.parametrize(
    ("change", "devices", "message"),
    [
        ("train.seed=1", 1, "train.seed is 0 on worker 0"),
        ("data.shift=0", 1, "recipe hash is"),
        (None, 2, "number of devices is 1"),
    ],
)
def test_recipes_and_devices_that_differ(change: Any, devices: int, message: str) -> None:
    def work(workers: Workers) -> None:
        own = [change] if change and workers.rank else []
        contexts = [mx.cpu(i) for i in range(devices if workers.rank else 1)]
        with pytest.raises(DistributedError, match=message):
            check_software(workers, ENVIRONMENT, recipe(FULL, *own), contexts)

    together(2, work)


@pytest.mark.parametrize(("seeds", "equal"), [((0, 0), True), ((0, 1), False)])
def test_the_labelled_draw_is_compared(seeds: Any, equal: bool) -> None:
    data = stand_in("mnist", train=60)

    def work(workers: Workers) -> None:
        split = draw_split(data.train.labels, labelled=20, split_seed=seeds[workers.rank], classes=10)
        facts = describe_data(data, split, DataSource(Path("data")), everything_labelled=False)
        if equal:
            check_data(workers, facts)
            return
        with pytest.raises(DistributedError, match="digest of the split is"):
            check_data(workers, facts)

    together(2, work)


def test_the_unlabelled_images_are_compared() -> None:
    data = stand_in("mnist", train=20)
    split = draw_split(data.train.labels, labelled=None, split_seed=0, classes=10)
    parts = [data.train.images[:5], data.train.images[5:10], data.train.images[:4]]
    facts = [
        describe_data(replace(data, unlabelled=part), split, DataSource(Path("data")), True) for part in parts
    ]

    def check(second: int, message: str) -> None:
        def work(workers: Workers) -> None:
            with pytest.raises(DistributedError, match=message):
                check_data(workers, facts[second] if workers.rank else facts[0])

        together(2, work)

    check(1, "digest of the unlabelled images is")
    check(2, "number of unlabelled images is 5 on worker 0")
    together(2, lambda workers: check_data(workers, facts[0]))


# ---- parts of a whole


@pytest.mark.parametrize("name", ["mnist", "imagenet"])
def test_parts_of_the_streams_are_the_streams(name: str) -> None:
    """Each worker reads its rows of every batch, as augmented as in one process, from any step on."""
    data = stand_in(name, train=60, size=16 if name == "imagenet" else None)
    split = Split(labelled=np.arange(20), unlabelled=np.arange(20, 60), validation=np.arange(0))
    augment = make_augmentation(data, shift=2 if name == "mnist" else 0, mirror=True)

    def steps(worker: int, workers: int, first: int) -> List[Step]:
        made = Streams(
            data, split, augment=augment, batch_labelled=4, batch_unlabelled=8, seed=3, epoch_steps=4,
            independent_teacher=True, cutout=Cutout(3), worker=worker, workers=workers,
        )  # fmt: skip
        return list(made.epoch(1, first))

    for first in (0, 2):
        parts = [steps(worker, 2, first) for worker in (0, 1)]
        for whole, *shares in zip(steps(0, 1, first), *parts):
            for stream in ("labelled", "unlabelled"):
                expected, found = getattr(whole, stream), [getattr(share, stream) for share in shares]
                for key in ("images", "labels", "teacher_images", "indices"):
                    joined = np.concatenate([getattr(batch, key) for batch in found])
                    np.testing.assert_array_equal(joined, getattr(expected, key), err_msg=key)
                for batch in found:
                    np.testing.assert_array_equal(batch.all_indices, expected.indices)


def test_terms_are_gathered_in_the_order_of_the_batch() -> None:
    rng = np.random.default_rng(0)
    terms, classes = rng.random((3, 8), np.float32), rng.random((8, 5), np.float32)

    def work(workers: Workers) -> List[StreamTerms]:
        rows = [slice(4 * workers.rank + 2 * device, 4 * workers.rank + 2 * device + 2) for device in (0, 1)]
        parts = [mx.nd.array(terms[:, each]) for each in rows]
        predictions = [mx.nd.array(classes[each]) for each in rows]
        return gather_terms(
            [StreamTerms("unlabelled", parts, predictions), StreamTerms("labelled", parts)], workers
        )

    for first, second in together(2, work):
        assert (first.name, second.name, list(second.predictions)) == ("unlabelled", "labelled", [])
        np.testing.assert_array_equal(first.parts[0].asnumpy(), terms)
        np.testing.assert_array_equal(second.parts[0].asnumpy(), terms)
        np.testing.assert_array_equal(first.predictions[0].asnumpy(), classes)


def test_a_tally_that_each_kept_is_averaged() -> None:
    def work(workers: Workers) -> Any:
        tally = TermSums(["a"], {"a": 6.0 * workers.rank, "total": 12.0 * workers.rank, "steps": 3})
        tally.average(workers)
        return tally.means()

    assert together(2, work) == [{"loss/a": 1.0, "loss/total": 2.0}] * 2


def test_running_statistics_of_all_devices_of_all_workers() -> None:
    """Four places: saved but for the first, put back where they were, and averaged over all."""
    nets = [built(FULL, devices=2).net for _ in range(2)]
    for rank, net in enumerate(nets):
        for parameter in net.collect_params(".*running_(mean|var)").values():
            for place, copy in enumerate(parameter.list_data()):
                copy[:] = 10 * rank + place + mx.nd.arange(copy.size).reshape(copy.shape)
    before = [values(net) for net in nets]
    saved = together(2, lambda workers: device_statistics(nets[workers.rank], workers))
    statistics = [name for name in before[0] if "running" in name]
    assert len(statistics) > 4
    assert saved[0].keys() == {f"{place}.{name}" for place in (1, 2, 3) for name in statistics}
    for name in statistics:
        for place in (1, 2, 3):
            worker, device = divmod(place, 2)
            np.testing.assert_array_equal(saved[1][f"{place}.{name}"], before[worker][name][device])

    together(2, lambda workers: synchronise_statistics(nets[workers.rank], workers))
    for net in nets:
        for name, copies in values(net).items():
            expected = np.mean([each[name] for each in before], axis=(0, 1)) if "running" in name else None
            if expected is not None:
                np.testing.assert_allclose(copies, np.stack([expected] * 2), rtol=1e-6)

    load_device_statistics(nets[1], saved[0], worker=1)
    for name in statistics:
        np.testing.assert_array_equal(values(nets[1])[name], before[1][name])


# ---- dist_async


def test_rates_of_the_servers_follow_the_schedule() -> None:
    phases = recipe(SUPERVISED).optimiser.phases
    (stretch,) = stretches(phases, 3)
    rates = Rates(stretch, epoch_steps=5, workers=2, first=4)
    expected = [learning_rate(stretch, step / 5) / 2 for step in range(4, 15) for _ in (0, 1)]
    assert [rates(update) for update in range(1, 23)] == expected
    assert len(set(expected)) == 11 and rates(40) == expected[-1]  # a worker that is ahead


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (FULL, "train.epochs=3", "optimiser.phases: 2 of them"),
        (SUPERVISED, "train.dtype=float16", "train.dtype: float16"),
        (TEMPORAL, "train.epochs=1", "teacher.method: temporal_ensembling"),
    ],
)
def test_what_dist_async_cannot_train(text: str, change: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        check_asynchronous(recipe(text, change, "train.kvstore=dist_async"))
    check_asynchronous(recipe(text, change, "train.kvstore=dist_sync"))
    check_asynchronous(recipe(SUPERVISED, "train.kvstore=dist_async"))
