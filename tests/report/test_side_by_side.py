"""Commands side by side: how many at once, how many threads, what a failure and a signal do."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import List

import pytest

from gluon_nrm.errors import RunError, Stopped
from gluon_nrm.report.side_by_side import TrainingCommand, run_side_by_side
from gluon_nrm.system import tune as tune_module
from gluon_nrm.system.job_variables import WORKERS_HERE

#: Notes its start and its end, and waits until the file that it is given is there.
WAITS = """
import os, signal, sys, time
def note(text):
    with open(sys.argv[1], "a") as file:
        file.write(text + "\\n")
def stop(*_):
    note("saved " + sys.argv[2])
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
note("start " + sys.argv[2])
print("epoch 3/4  loss 1  ETA 5 s", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
note("end " + sys.argv[2])
"""


def job(name: str, script: str, *arguments: object) -> TrainingCommand:
    return TrainingCommand(name, [sys.executable, "-c", script, *map(str, arguments)])


def test_as_many_at_once_as_asked(tmp_path: Path) -> None:
    """The first two end when both have begun, so they overlap; the third begins when one has ended."""
    notes, go = tmp_path / "notes", tmp_path / "go"
    lines: List[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if sum("epoch 3/4" in each for each in dict.fromkeys(lines)) == 2:
            go.touch()

    run_side_by_side([job(name, WAITS, notes, name, go) for name in "abc"], 2, tell=tell, interval=0.0)
    noted = notes.read_text().split("\n")[:-1]
    assert sorted(noted[:2]) == ["start a", "start b"] and sorted(noted[2:]) == [
        "end a", "end b", "end c", "start c",
    ]  # fmt: skip
    assert noted.index("start c") > min(noted.index("end a"), noted.index("end b"))
    assert lines[:2] == ["run 1 of 3: a", "run 2 of 3: b"]
    assert "run 1 of 3: a: epoch 3/4  loss 1  ETA 5 s" in lines
    assert "run 1 of 3: a: done in " in "\n".join(lines)
    done = [line for line in lines if "done in" in line]
    assert "2 left, ETA " in done[0] and "1 left, ETA " in done[1] and "left" not in done[2]


def test_a_failure_is_named_and_the_others_run(tmp_path: Path) -> None:
    notes, go = tmp_path / "notes", tmp_path / "go"
    go.touch()
    lines: List[str] = []
    bad = job("bad", "import sys; print('before'); sys.exit('error: a reason;\\nwhat to do')")
    jobs = [job("a", WAITS, notes, "a", go), bad, job("c", WAITS, notes, "c", go)]
    with pytest.raises(
        RunError, match="1 of 3 runs failed, the first is run 2 of 3: bad: error: a reason;\n"
    ):
        run_side_by_side(jobs, 1, tell=lines.append)
    assert notes.read_text().split("\n")[:-1] == ["start a", "end a", "start c", "end c"]
    assert any(line.startswith("failed: run 2 of 3: bad: ") for line in lines)


def test_nothing_more_is_started_if_the_first_ones_fail(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    jobs = [job("bad", "import sys; sys.exit(3)"), job("b", WAITS, notes, "b", tmp_path)]
    with pytest.raises(RunError, match="1 of 2 runs failed, the first is run 1 of 2: bad: exit code 3"):
        run_side_by_side(jobs, 1, tell=lambda line: None)
    assert not notes.exists()


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(RunError, match="cannot start /no/such: No such file"):
        run_side_by_side([TrainingCommand("a", ["/no/such"])], 1, tell=lambda line: None)


def test_a_signal_lets_them_save(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def tell(line: str) -> None:
        if "epoch 3/4" in line and not notes.read_text().count("saved"):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    jobs = [job(name, WAITS, notes, name, tmp_path / "never") for name in "ab"]
    with pytest.raises(Stopped) as stopped:
        run_side_by_side(jobs, 1, tell=tell, interval=0.0)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert notes.read_text().split("\n")[:-1] == ["start a", "saved a"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("given", [False, True])
def test_they_share_the_cores(given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that ``tune`` set for this process are not theirs; those that the user set are."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    variables = {} if given else {"OMP_NUM_THREADS": "7"}
    monkeypatch.setattr(tune_module, "_tuning", tune_module.Tuning(variables, [], False, False))
    script = (
        "import os, sys\nfor name in sys.argv[2:]:\n"
        "    print(name, os.environ.get(name), file=open(sys.argv[1], 'a'))"
    )
    names = ("OMP_NUM_THREADS", WORKERS_HERE)
    run_side_by_side([job("a", script, tmp_path / "said", *names)], 2, tell=lambda line: None)
    threads = "7" if given else "None"
    assert (tmp_path / "said").read_text() == f"OMP_NUM_THREADS {threads}\n{WORKERS_HERE} 2\n"
