"""Devices and kvstores: read their names, and check that they suit the precision and the batch."""

from __future__ import annotations

import os
import re
from typing import Any, List, Optional

import mxnet as mx

from gluon_nrm.errors import DeviceError
from gluon_nrm.option_names import option
from gluon_nrm.system.commands import command_name
from gluon_nrm.system.processor import has_instructions

ENTRY = re.compile(r"(cpu|gpu)(?:\((\d+)(?:-(\d+))?\))?")


def parse_devices(text: Optional[str]) -> List[Any]:
    """Read a list such as ``cpu(0),cpu(1)`` or ``gpu(0-3)``; None: all GPUs, or the CPU if there is none.

    Raises:
        DeviceError: the list cannot be read, names a device twice, or names a GPU that does not exist.
    """
    gpus = mx.context.num_gpus()
    if text is None:
        return [mx.gpu(i) for i in range(gpus)] or [mx.cpu(0)]
    devices: List[Any] = []
    named = option("devices")
    for entry in text.split(","):
        match = ENTRY.fullmatch(entry.strip())
        if match is None:
            raise DeviceError(f"{named}: {entry.strip()!r} is no device; write cpu(0),cpu(1) or gpu(0-3)")
        first = int(match.group(2) or 0)
        last = int(match.group(3) or first)
        if last < first:
            raise DeviceError(f"{named}: {entry.strip()!r} runs backwards; write the smaller number first")
        kind = mx.cpu if match.group(1) == "cpu" else mx.gpu
        devices += [kind(i) for i in range(first, last + 1)]
    if len(set(devices)) < len(devices):
        raise DeviceError(f"{named}: {text!r} names a device twice")
    for device in devices:
        if device.device_type == "gpu" and device.device_id >= gpus:
            raise DeviceError(
                f"{named}: there is no {device}; MXNet sees {gpus} GPUs here "
                f"({command_name('doctor')} says why)"
            )
    return devices


def check_kvstore(kvstore: str) -> None:
    """Check that this build and this process can use a kvstore.

    Raises:
        DeviceError: nccl without a build that has it, or a distributed store outside a job.
    """
    if kvstore == "nccl" and not mx.runtime.Features().is_enabled("NCCL"):
        raise DeviceError(
            "train.kvstore: this build of MXNet has no 'nccl'; use 'device' or the GPU build of MXNet"
        )
    if kvstore.startswith("dist") and "DMLC_PS_ROOT_URI" not in os.environ:
        raise DeviceError(
            f"train.kvstore: {kvstore!r} needs a scheduler and servers (DMLC_PS_ROOT_URI is not set); "
            f"start the job with {command_name('launch')}, or use 'device'"
        )


def check_dtype(dtype: str, devices: List[Any]) -> None:
    """Check that the devices compute in a precision.

    Raises:
        DeviceError: MXNet 1.9.1 lacks it: float16 on a CPU, bfloat16 on a GPU or a CPU without AVX-512.
    """
    for low, kind, other in (("float16", "gpu", "bfloat16"), ("bfloat16", "cpu", "float16")):
        for device in devices:
            if dtype == low and device.device_type != kind:
                raise DeviceError(
                    f"train.dtype: MXNet has no {low} convolution on {device}; use {other} or float32 there"
                )
    if dtype == "bfloat16" and not has_instructions("avx512bw"):
        raise DeviceError(
            "train.dtype: MXNet's bfloat16 needs AVX-512, and /proc/cpuinfo lists no flag avx512bw; "
            "use float32 on this processor"
        )


def check_batch(key: str, batch: int, devices: List[Any], workers: int = 1) -> None:
    """Check that a global batch divides evenly over all devices of all workers.

    Raises:
        DeviceError: it does not.
    """
    every = len(devices) * workers
    if batch % every:
        detail = f" ({len(devices)} of each of {workers} workers)" if workers > 1 else ""
        below, above = batch // every * every, (batch // every + 1) * every
        nearest = f"{below} or {above}" if below else f"{above}"
        raise DeviceError(
            f"{key}: {batch} images do not divide over {every} devices{detail}; batches are global: "
            f"give {nearest}"
        )
