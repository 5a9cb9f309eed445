"""Cases of one kind, one after the other, in a process of their own that may end at any of them."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import sys
import traceback
from pathlib import Path
from typing import IO, Any, Dict, List, Tuple

from fuzz.cases import Files, Target, case_random, make_case, write_case

#: A message for people.
MOST_LINES, LONGEST_LINE = 2, 1000
#: Bytes of memory that a case may use at its peak, and of address space, which keeps the machine from harm.
MOST_MEMORY, MOST_ADDRESSES = 2 * 2**30, 8 * 2**30

ACCEPTED, REFUSED, FAILED = "accepted", "refused", "failed"


def judge(target: Target, folder: Path, options: Any) -> Tuple[str, str]:
    """Have the files of a case read: accepted, refused, or failed with the reason."""
    from gluon_nrm.errors import NRMError

    try:
        target.read(folder, options)
    except NRMError as refusal:
        fault = message_fault(str(refusal))
        return (FAILED, f"{fault}: {str(refusal)[:2000]!r}") if fault else (REFUSED, type(refusal).__name__)
    except BaseException as problem:
        return FAILED, f"{type(problem).__name__}\n{_traceback()}"
    return ACCEPTED, ""


def _traceback() -> str:
    lines = traceback.format_exc().splitlines()
    return "\n".join(
        line[:300] for line in (lines if len(lines) < 80 else [*lines[:30], "...", *lines[-40:]])
    )


def message_fault(message: str) -> str:
    """What is wrong with a message; empty where nothing is."""
    lines = message.splitlines()
    if not 1 <= len(lines) <= MOST_LINES:
        return f"a message of {len(lines)} lines"
    if not all(line.isprintable() for line in lines):
        return "a message that cannot be printed"
    if max(map(len, lines)) > LONGEST_LINE:
        return f"a message with a line of {max(map(len, lines))} letters"
    return ""


def work(
    target: Target, seed: int, numbers: range, samples: Dict[str, List[Files]], place: Path, journal: IO[str]
) -> None:
    """Read the cases of some numbers; the journal gets a line before and after each."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + MOST_ADDRESSES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    others = [found[0] for name, found in sorted(samples.items()) if name != target.name]
    for number in numbers:
        note(journal, number=number, state="begins")
        shutil.rmtree(place, ignore_errors=True)
        folder = place / target.name
        folder.mkdir(parents=True)
        case = make_case(
            case_random(seed, target.name, number, "changes"), target, samples[target.name], others
        )
        write_case(case, folder)
        (place / "how.txt").write_text("\n".join(case.how) + "\n", encoding="utf-8", errors="replace")
        note(journal, number=number, state="reads")
        reset_peak()
        state, why = judge(target, folder, case_random(seed, target.name, number, "options"))
        peak = _status("VmHWM")
        if peak > MOST_MEMORY and state != FAILED:
            state, why = FAILED, f"{peak / 2**30:.1f} GiB of memory"
        if state == FAILED:  # out of the way of the next case, for the runner to keep
            shutil.rmtree(place.with_name(f"failed-{target.name}-{number}"), ignore_errors=True)
            place.rename(place.with_name(f"failed-{target.name}-{number}"))
        note(journal, number=number, state=state, why=why, peak=peak)


def note(journal: IO[str], **entry: Any) -> None:
    journal.write(json.dumps(entry) + "\n")
    journal.flush()


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str, process: str = "self") -> int:
    """Bytes, from /proc/PID/status; 0 where the process has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = [int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{key}:")]
    return found[0] if found else 0


def memory_of(process: int) -> int:
    """Bytes that a process has in memory now."""
    return _status("VmRSS", str(process))


def quiet(log: Path) -> None:
    """Send what C++ and Python print to a file, and read nothing from the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
