"""Deals cases out to processes, watches time and memory, keeps what failed, and counts."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

from fuzz import faulty, worker
from fuzz.cases import Files, Target, case_random, load_samples
from fuzz.watch import Tally, Watch

#: Seconds that a process works before the next kind has its turn.
TURN = 1.0
#: Cases of one process, which keeps faults that add up apart.
BATCH = 100
#: Sound samples of each kind that are read first.
SOUND = 4
#: Findings of one kind that are kept; the rest is counted.
KEPT = 20


def all_targets() -> List[Target]:
    from fuzz import targets_data, targets_exports, targets_images, targets_runs

    return [*targets_runs.TARGETS, *targets_data.TARGETS, *targets_images.TARGETS, *targets_exports.TARGETS]


def import_everything() -> None:
    """Import what readers need once, before processes are forked; nothing is run, so no thread starts."""
    import linear_export  # noqa: F401
    import mxnet  # noqa: F401
    import official_files  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import PIL.Image
    import scipy.io  # noqa: F401
    import short_runs  # noqa: F401
    import sklearn.datasets  # noqa: F401

    import gluon_nrm.export.export_run
    import gluon_nrm.predict.mxnet_backend
    import gluon_nrm.predict.onnx_backend
    import gluon_nrm.training.evaluate_run  # noqa: F401

    PIL.Image.init()


def in_child(body: Callable[[], None], log: Path) -> int:
    """Fork a process that runs ``body`` and ends at once; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        worker.quiet(log)
        os.setsid()
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Fuzzer:
    """A seeded run over some kinds of files.

    Args:
        targets: the kinds.
        seed: of all cases.
        scratch: a folder for the samples and the case at hand.
        findings: the folder that what failed is copied to.
        hang: seconds that a case may take.
    """

    def __init__(
        self, targets: Sequence[Target], seed: int, scratch: Path, findings: Path, hang: float
    ) -> None:
        self.targets, self.seed, self.scratch, self.findings = targets, seed, scratch, findings
        self.log, self.hang = scratch / "log.txt", hang
        self.tallies = {target.name: Tally() for target in targets}
        self.samples: Dict[str, List[Files]] = {}
        self.failures: List[str] = []

    def prepare(self) -> None:
        """Write the sound samples of all kinds, in a process of its own."""
        made: Dict[Any, Path] = {}

        def write() -> None:
            tempfile.tempdir = str(self.scratch)
            for target in self.targets:
                place = self.scratch / "corpus" / target.name
                if target.samples in made:
                    shutil.copytree(made[target.samples], place)
                else:
                    place.mkdir(parents=True)
                    target.samples(place)
                    made[target.samples] = place

        _, status = os.waitpid(in_child(write, self.log), 0)
        self.samples = {
            target.name: load_samples(self.scratch / "corpus" / target.name) for target in self.targets
        }
        if status:
            raise SystemExit(f"the samples cannot be made:\n{self.log.read_text(errors='replace')[-3000:]}")

    def check_samples(self) -> None:
        """Read every sound sample; a reader that fails on one would make all its cases worthless."""
        readers = {(target.samples, target.read): target for target in self.targets}
        for target in readers.values():
            _, status = os.waitpid(in_child(partial(self._read_samples, target), self.log), 0)
            if status:
                self._keep(target, -1, f"sound sample: {self.log.read_text(errors='replace')[-2000:]}")

    def _read_samples(self, target: Target) -> None:
        place = self.scratch / "case" / target.name
        for sample in sorted((self.scratch / "corpus" / target.name).iterdir())[:SOUND]:
            shutil.rmtree(self.scratch / "case", ignore_errors=True)
            shutil.copytree(sample, place)
            state, why = worker.judge(target, place, case_random(self.seed, target.name, 0, "sound"))
            if state == worker.FAILED:
                raise SystemExit(f"{sample.name}: {why}")

    def run(self, seconds: float) -> None:
        """Give each kind its share of the time, and at least one turn."""
        until = time.monotonic() + seconds
        while time.monotonic() < until or not all(tally.spent for tally in self.tallies.values()):
            target = min(self.targets, key=lambda each: self.tallies[each.name].spent / each.share)
            start = time.monotonic()
            self._turn(target, start + TURN)
            self.tallies[target.name].spent += time.monotonic() - start

    def _turn(self, target: Target, until: float) -> None:
        """Have one process read cases of one kind."""
        tally = self.tallies[target.name]
        reading, writing = os.pipe()
        numbers = range(tally.next, tally.next + BATCH)

        def body() -> None:
            os.close(reading)
            with os.fdopen(writing, "w") as journal:
                worker.work(target, self.seed, numbers, self.samples, self.scratch / "case", journal)

        child = in_child(body, self.log)
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as journal:
            keep = partial(self._keep, target)
            Watch(tally, child, journal.fileno(), self.log, keep, self.hang).follow(until)

    def _keep(self, target: Target, number: int, why: str) -> None:
        name = f"{target.name}-s{self.seed}-{number}"
        self.failures.append(f"{name}: {why}")
        if sum(each.startswith(f"{target.name}-s") for each in self.failures) > KEPT:
            return
        place, case = self.findings / name, self.scratch / f"failed-{target.name}-{number}"
        case = case if case.exists() else self.scratch / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for source, copy in ((case / target.name, "files"), (case / "how.txt", "how.txt")):
            # cp, and not shutil: pipes and links are copied as what they are
            if os.path.lexists(source):
                os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(source), str(place / copy))
        (place / "case.json").write_text(
            json.dumps({"kind": target.name, "seed": self.seed, "number": number})
        )
        (place / "why.txt").write_text(why + "\n", encoding="utf-8", errors="replace")


def replay(folder: Path) -> int:
    """Read a finding again in this process, and show what comes of it."""
    case = json.loads((folder / "case.json").read_text())
    (target,) = [each for each in all_targets() if each.name == case["kind"]]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        place = Path(scratch) / "case" / target.name
        place.parent.mkdir()
        os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(folder / "files"), str(place))
        options = case_random(case["seed"], target.name, case["number"], "options")
        worker.reset_peak()
        state, why = worker.judge(target, place, options)
    sys.stdout.write(f"{state} {why}\n")
    return int(state == worker.FAILED)


def report(fuzzer: Fuzzer) -> str:
    """Counts of each kind, and what failed."""
    lines = [f"{'kind':16} {'cases':>7} {'accepted':>9} {'refused':>8} {'failed':>7} {'peak MiB':>9}"]
    total: Tally = Tally()
    for name, tally in [*fuzzer.tallies.items(), ("all", total)]:
        counts = [tally.counts[state] for state in (worker.ACCEPTED, worker.REFUSED, worker.FAILED)]
        lines.append(
            f"{name:16} {sum(counts):7} {counts[0]:9} {counts[1]:8} {counts[2]:7} {tally.peak >> 20:9}"
        )
        total.counts.update(tally.counts)
        total.peak = max(total.peak, tally.peak)
    if fuzzer.failures:
        lines += [
            "",
            f"{len(fuzzer.failures)} findings; the first {KEPT} of each kind are in {fuzzer.findings}:",
        ]
        lines += [f"  {first_and_last(each)}" for each in fuzzer.failures]
    return "\n".join(lines)


def first_and_last(text: str) -> str:
    """A finding in a line."""
    lines = text.splitlines()
    return " ".join([lines[0], *lines[1:][-1:]])[:400]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/checks/fuzz", allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=60, help="of wall time, once the samples are made")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", default="", metavar="KIND,KIND", help=", ".join(each.name for each in all_targets())
    )
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="folder for what failed")
    parser.add_argument("--replay", type=Path, metavar="FINDING", help="read one finding again")
    parser.add_argument("--faulty", action="store_true", help="read by readers that fail on purpose")
    parser.add_argument("--hang", type=float, default=30, help="seconds that a case may take")
    options = parser.parse_args(arguments)
    if options.replay:
        return replay(options.replay)
    if options.faulty:
        worker.MOST_MEMORY = faulty.MOST_MEMORY
    else:
        import_everything()
    wanted = set(filter(None, options.only.split(",")))
    known = faulty.TARGETS if options.faulty else all_targets()
    targets = [each for each in known if not wanted or each.name in wanted]
    if wanted - {each.name for each in targets}:
        parser.error(f"--only: {', '.join(sorted(wanted - {each.name for each in targets}))}: no such kind")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        fuzzer = Fuzzer(targets, options.seed, Path(scratch), options.findings.resolve(), options.hang)
        fuzzer.prepare()
        if not options.faulty:
            fuzzer.check_samples()
        fuzzer.run(options.seconds)
    sys.stdout.write(report(fuzzer) + "\n")
    return int(
        bool(fuzzer.failures) or any(not sum(tally.counts.values()) for tally in fuzzer.tallies.values())
    )
