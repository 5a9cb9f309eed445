"""Devices and kvstores: what can be asked for, what is refused, and how a batch is dealt out."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.utils import split_and_load

from gluon_nrm.errors import DeviceError
from gluon_nrm.system import devices as module
from gluon_nrm.system.devices import check_batch, check_dtype, check_kvstore, parse_devices


def cpus(*numbers: int) -> List[Any]:
    return [mx.cpu(number) for number in numbers]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that MXNet sees so many GPUs."""
    return lambda count: monkeypatch.setattr(mx.context, "num_gpus", lambda: count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", cpus(0)),
        ("cpu(0),cpu(1)", cpus(0, 1)),
        ("cpu(1), cpu(0)", cpus(1, 0)),
        ("cpu(0-2)", cpus(0, 1, 2)),
        ("cpu(0-1),cpu(4)", cpus(0, 1, 4)),
        (" cpu(3) ", cpus(3)),
    ],
)
def test_parse_devices(text: str, expected: List[Any]) -> None:
    assert parse_devices(text) == expected


def test_without_a_list_every_gpu_else_the_cpu(gpus: Any) -> None:
    gpus(0)
    assert parse_devices(None) == cpus(0)
    gpus(2)
    assert parse_devices(None) == [mx.gpu(0), mx.gpu(1)]
    assert parse_devices("gpu(0-1)") == [mx.gpu(0), mx.gpu(1)]
    assert parse_devices("gpu") == [mx.gpu(0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no device"),
        ("tpu(0)", r"'tpu\(0\)' is no device"),
        ("cpu(0)cpu(1)", "is no device"),
        ("cpu(0),", "'' is no device"),
        ("cpu(-1)", "is no device"),
        ("cpu(a)", "is no device"),
        ("CPU", "'CPU' is no device"),
        ("cpu,cpu(0)", "a device twice"),
        ("cpu(0-1),cpu(1)", "a device twice"),
        ("cpu(2-1)", r"cpu\(2-1\)' runs backwards"),
        ("cpu(0),cpu(2-1)", r"cpu\(2-1\)' runs backwards"),
        ("gpu(1)", r"no gpu\(1\); MXNet sees 1 GPU"),
        ("gpu(0-3)", r"no gpu\(1\)"),
    ],
)
def test_devices_that_are_refused(text: str, message: str, gpus: Any) -> None:
    gpus(1)
    with pytest.raises(DeviceError, match=f"^devices: .*{message}"):
        parse_devices(text)


def test_check_batch() -> None:
    check_batch("train.batch_labelled", 6, cpus(0, 1, 2))
    check_batch("train.batch_unlabelled", 0, cpus(0, 1))
    with pytest.raises(DeviceError, match="train.batch_labelled: 7 images do not divide over 2 devices"):
        check_batch("train.batch_labelled", 7, cpus(0, 1))
    with pytest.raises(DeviceError, match="1 images"):
        check_batch("train.batch_labelled", 1, cpus(0, 1))
    with pytest.raises(
        DeviceError, match=r"5 images do not divide over 4 devices \(2 of each of 2 workers\)"
    ):
        check_batch("train.batch_labelled", 5, cpus(0, 1), workers=2)


class Features:
    """A build of MXNet with NCCL or without."""

    def __init__(self, nccl: bool) -> None:
        self.nccl = nccl

    def is_enabled(self, name: str) -> bool:
        return name == "NCCL" and self.nccl


def test_check_kvstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMLC_PS_ROOT_URI", raising=False)
    for name in ("device", "local"):
        check_kvstore(name)
    for name in ("dist_sync", "dist_device_sync", "dist_async"):
        with pytest.raises(DeviceError, match=f"train.kvstore: '{name}' needs a scheduler"):
            check_kvstore(name)
    monkeypatch.setenv("DMLC_PS_ROOT_URI", "127.0.0.1")
    check_kvstore("dist_sync")


def test_nccl_needs_a_build_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx.runtime, "Features", lambda: Features(False))
    with pytest.raises(DeviceError, match="train.kvstore: this build of MXNet has no 'nccl'"):
        check_kvstore("nccl")
    monkeypatch.setattr(mx.runtime, "Features", lambda: Features(True))
    check_kvstore("nccl")


def test_a_batch_is_split_into_equal_slices_in_order() -> None:
    batch = np.arange(12, dtype=np.float32).reshape(6, 2)
    parts = split_and_load(mx.nd.array(batch), cpus(0, 2, 1))
    assert [part.context for part in parts] == cpus(0, 2, 1)
    assert [part.shape for part in parts] == [(2, 2)] * 3
    assert np.array_equal(np.concatenate([part.asnumpy() for part in parts]), batch)
    assert [part.dtype for part in parts] == [np.float32] * 3


def test_bfloat16_needs_a_processor_with_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_instructions", {"avx2"}.__contains__)
    with pytest.raises(DeviceError) as raised:
        check_dtype("bfloat16", cpus(0))
    assert str(raised.value) == (
        "train.dtype: MXNet's bfloat16 needs AVX-512, and /proc/cpuinfo lists no flag avx512bw; "
        "use float32 on this processor"
    )
    check_dtype("float32", cpus(0))
    monkeypatch.setattr(module, "has_instructions", {"avx2", "avx512bw"}.__contains__)
    check_dtype("bfloat16", cpus(0))
