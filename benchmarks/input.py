"""Input: images a second of the CIFAR and ImageNet pipelines, memory of an ImageNet epoch, start-up.

    PYTHONPATH=. python benchmarks/input.py [--records 20000] [--json FILE]

Each row is measured in a process of its own, on noise: CIFAR-10 in memory, padded, cropped, mirrored and
normalised in batches of 128; streamed photographs of 500 x 375 pixels, cropped to 224; an epoch over small
records, whose memory must not grow with their number; the time from the start of Python to the first batch of
CIFAR-10's binary archive.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any, Dict

from benchmarks.harness import command_line, measure_in_child, write_json
from benchmarks.summary import INPUT_AIMS
from gluon_nrm.console.tool import run_tool

BATCH = 128


def cifar(_: int) -> Dict[str, Any]:
    """Images a second of an epoch in memory."""
    from gluon_nrm.data import Streams, draw_split, make_augmentation
    from gluon_nrm.data.pipeline.stand_in import stand_in

    data = stand_in("cifar10", train=50000)
    split = draw_split(data.train.labels, labelled=None, split_seed=0, classes=10)
    augment = make_augmentation(data, shift=4, mirror=True)
    streams = Streams(data, split, augment=augment, batch_labelled=BATCH, batch_unlabelled=0, seed=0)
    return {"images_per_second": _rate(streams.epoch(0), BATCH, 390)}


def imagenet(_: int) -> Dict[str, Any]:
    """Images a second of streamed photographs, decoded and augmented."""
    from gluon_nrm.data import Streams, draw_split, make_augmentation
    from gluon_nrm.data.pipeline.stand_in import stand_in

    data = stand_in("imagenet", train=20000)
    split = draw_split(data.train.labels, labelled=None, split_seed=0, classes=1000)
    augment = make_augmentation(data, shift=0, mirror=True)
    streams = Streams(data, split, augment=augment, batch_labelled=BATCH, batch_unlabelled=0, seed=0)
    return {"images_per_second": _rate(streams.epoch(0), BATCH, 12)}


def memory(records: int) -> Dict[str, Any]:
    """Memory in MB after a tenth and at the end of an epoch over RecordIO files, and how fast it was."""
    from gluon_nrm.data import Streams, draw_split, load_dataset, make_augmentation

    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own, whose memory does not count
        code = f"from benchmarks.input import write_records; write_records({folder!r}, {records})"
        subprocess.run([sys.executable, "-c", code], check=True)
        data = load_dataset("folder", path=folder, size=48, streamed=True)
        split = draw_split(data.train.labels, labelled=None, split_seed=0, classes=data.classes)
        augment = make_augmentation(data, shift=0, mirror=True)
        streams = Streams(data, split, augment=augment, batch_labelled=BATCH, batch_unlabelled=0, seed=0)
        resident = [_resident_mb() for _ in streams.epoch(0)]
    tenth = len(resident) // 10
    return {
        "records": records,
        "tenth_mb": max(resident[: tenth + 1]),
        "end_mb": max(resident),
        "growth_mb": max(resident) - max(resident[: tenth + 1]),
    }


def start(_: int) -> Dict[str, Any]:
    """Seconds from the start of Python to the first batch, from an archive of CIFAR-10's size."""
    with tempfile.TemporaryDirectory() as folder:
        _write_cifar(Path(folder) / "cifar-10-binary.tar.gz")
        code = (
            "from gluon_nrm.data import *\n"
            f"data = load_dataset('cifar10', {folder!r})\n"
            "split = draw_split(data.train.labels, labelled=4000, split_seed=0, classes=10)\n"
            "augment = make_augmentation(data, shift=4, mirror=True)\n"
            "s = Streams(data, split, augment=augment, batch_labelled=64, batch_unlabelled=64, seed=0)\n"
            "next(s.epoch(0))\n"
        )
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True)
        return {"seconds": time.monotonic() - begun}


MEASURES = {"cifar": cifar, "imagenet": imagenet, "memory": memory, "start": start}


def _rate(steps: Any, batch: int, count: int) -> float:
    """Images a second over ``count`` steps, after two that are not timed."""
    for _ in islice(steps, 2):
        pass
    begun = time.monotonic()
    taken = sum(1 for _ in islice(steps, count))
    return batch * taken / (time.monotonic() - begun)


def _resident_mb() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_records(folder: str, records: int) -> None:
    """train.rec and val.rec of JPEG files of 64 x 64 pixels, in ten classes."""
    import mxnet as mx
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in (("train", records), ("val", 100)):
        base = os.path.join(folder, part)
        writer = mx.recordio.MXIndexedRecordIO(f"{base}.idx", f"{base}.rec", "w")
        for key in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
            header = mx.recordio.IRHeader(0, key % 10, key, 0)
            writer.write_idx(key, mx.recordio.pack(header, file.getvalue()))
        writer.close()


def _write_cifar(path: Path) -> None:
    """An archive of 60,000 random images in the form of CIFAR-10's binary one."""
    import numpy as np

    rng = np.random.default_rng(0)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
            # sums, which compress about as little as the real images do
            records = rng.integers(0, 128, (2, 10000, 3073), dtype=np.uint8).sum(axis=0, dtype=np.uint8)
            records[:, 0] = np.arange(10000) % 10
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = records.size
            archive.addfile(member, io.BytesIO(records.tobytes()))


def main() -> int:
    """Measure each in a process of its own and print a table."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument("--records", type=int, default=20000, help="of the epoch (default: 20000)")
    parser.add_argument("--measure", choices=tuple(MEASURES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.records)))
        return 0
    found = {}
    print(f"Input, {os.cpu_count()} cores\n| what | measured | target |\n|---|---|---|")
    for name in MEASURES:
        found[name] = measure_in_child(__file__, name, "--records", str(options.records))
        shown = ", ".join(f"{key} {value:,.{0 if value > 100 else 2}f}" for key, value in found[name].items())
        print(f"| {name} | {shown} | {INPUT_AIMS.get(name, '')} |")
    write_json(options.json, found)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
