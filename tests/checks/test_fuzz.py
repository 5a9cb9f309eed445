"""Damaged and hostile files for every reader: each is read, or refused in a line or two.

``make fuzz`` takes a minute or longer; here every reader has one turn.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fakes import ROOT
from fuzz import worker
from fuzz.cases import case_random, load_samples, make_case
from fuzz.runner import all_targets

FUZZ = str(ROOT / "tests" / "checks" / "fuzz")
SECONDS, SEED = 15, 0


def test_hostile_files_of_every_kind(tmp_path: Path) -> None:
    command = [sys.executable, FUZZ, "--seconds", str(SECONDS), "--seed", str(SEED)]
    command += ["--findings", str(tmp_path / "findings")]
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
    sys.stdout.write(found.stdout)  # pytest shows it where the test fails
    counts = {line.split()[0]: line.split()[1:] for line in found.stdout.splitlines() if line.strip()}
    assert found.returncode == 0, found.stdout
    for target in all_targets():
        cases, _accepted, refused, failed, _peak = map(int, counts[target.name])
        assert cases > 0 and failed == 0, target.name
    assert int(counts["all"][1]) > 0 and int(counts["all"][2]) > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_gives_the_same_cases(seed: int, tmp_path: Path) -> None:
    (target,) = [each for each in all_targets() if each.name == "override"]
    target.samples(tmp_path)
    samples = load_samples(tmp_path)
    made = [
        [
            make_case(case_random(seed, "override", number, "changes"), target, samples, samples)
            for number in range(30)
        ]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len({str(sorted(case.files.items())) for case in made[0]}) > 20


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("one line", ""),
        ("two;\nlines", ""),
        ("", "0 lines"),
        ("a\nb\nc", "3 lines"),
        ("\x1b[31m", "printed"),
        ("a" * 2000, "2000 letters"),
    ],
)
def test_messages_are_judged(message: str, fault: str) -> None:
    assert fault in worker.message_fault(message) and bool(fault) == bool(worker.message_fault(message))


def test_every_way_to_fail_is_noticed(tmp_path: Path) -> None:
    command = [sys.executable, FUZZ, "--faulty", "--seconds", "1", "--hang", "4"]
    found = subprocess.run([*command, "--findings", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert found.returncode == 1
    for kind, why in (
        ("crash", "the process ended (SIGKILL)"),
        ("hang", "no answer in 4 s"),
        ("memory", "GiB of memory"),
        ("peak", "GiB of memory"),
        ("defect", "ZeroDivisionError"),
        ("lines", "3 lines"),
        ("escapes", "printed"),
    ):
        kept = tmp_path / f"{kind}-s0-0"
        assert why in (kept / "why.txt").read_text(), kind
        assert (kept / "files" / "file.txt").exists() and (kept / "how.txt").exists(), kind
