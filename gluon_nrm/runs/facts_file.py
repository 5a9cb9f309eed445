"""``data.json`` of a run: the facts of its data, with a digest of the file's own contents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from gluon_nrm.storage import files
from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import RunError
from gluon_nrm.storage.json_io import Source, read_json, read_value

FORMAT = 1
#: Largest file in bytes; the names of 50,000 images take two million.
LARGEST = 128 * 2**20


def facts_text(facts: Facts) -> str:
    """The file's contents: a line for each entry, lists in one line."""
    body = {"format": FORMAT, **asdict(facts)}
    entries = {**body, "sha256": _digest(body)}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_facts(path: Path) -> Optional[Facts]:
    """The facts of a run; None if it was started by a version that stored none.

    Raises:
        RunError: the file is damaged, or of a newer version.
    """
    if not files.exists(path, RunError):
        return None
    body = read_json(path, RunError, largest=LARGEST)
    source = Source(str(path), RunError)
    found, version = body.pop("sha256", None), body.pop("format", None)
    if isinstance(version, int) and version > FORMAT:
        raise RunError(f"{path} has format {version}, and this version reads {FORMAT}; use a newer gluon_nrm")
    facts: Facts = read_value(Facts, body, "", source)
    if found != _digest({"format": version, **asdict(facts)}):
        source.damaged("its contents do not match their SHA-256")
    problem = facts.problem()
    if problem is not None:
        source.damaged(problem)
    return facts


def facts_to_plain(facts: Facts) -> Dict[str, Any]:
    """The facts as JSON can hold them, for other workers."""
    return asdict(facts)


def facts_from_plain(value: Mapping[str, Any]) -> Facts:
    """The facts of ``facts_to_plain``."""
    facts: Facts = read_value(Facts, dict(value), "", Source("worker 0's facts", RunError))
    return facts


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8")).hexdigest()
