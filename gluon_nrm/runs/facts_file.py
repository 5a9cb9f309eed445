"""``data.json`` of a run: facts of its data, with a SHA-256 of the file's own contents."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import RunError
from gluon_nrm.storage import files
from gluon_nrm.storage.hashes import sha256_of_json
from gluon_nrm.storage.json_io import SourceFile, read_json, read_value

FORMAT = 1
#: Format of the facts of a run with unlabelled images, which earlier versions cannot continue.
FORMAT_UNLABELLED = 2
#: Most bytes of a file; the names of 50,000 images take two million.
LARGEST = 128 * 2**20


def facts_text(facts: Facts) -> str:
    """Format the contents of the file, one line an entry."""
    body = _body(facts)
    entries = {**body, "sha256": sha256_of_json(body)}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_facts(path: Path) -> Optional[Facts]:
    """Read the facts of a run; None if an early version, which stored none, started it.

    Raises:
        RunError: the file is damaged, or of a newer version.
    """
    if not files.exists(path, RunError):
        return None
    body = read_json(path, RunError, largest=LARGEST)
    source = SourceFile(str(path), RunError)
    found, version = body.pop("sha256", None), body.pop("format", None)
    if isinstance(version, int) and version > FORMAT_UNLABELLED:
        raise RunError(
            f"{path} has format {version}, and this version reads up to {FORMAT_UNLABELLED}; use a newer "
            "gluon_nrm"
        )
    facts: Facts = read_value(Facts, body, "", source)
    if found != sha256_of_json({**_body(facts), "format": version}):
        source.damaged("its contents do not match their SHA-256")
    problem = facts.problem()
    if problem is not None:
        source.damaged(problem)
    return facts


def facts_to_plain(facts: Facts) -> Dict[str, Any]:
    """Convert facts to values that JSON can hold, to send them to other workers."""
    return asdict(facts)


def facts_from_plain(value: Mapping[str, Any]) -> Facts:
    """Convert the values of ``facts_to_plain`` back to facts."""
    facts: Facts = read_value(Facts, dict(value), "", SourceFile("worker 0's facts", RunError))
    return facts


def _body(facts: Facts) -> Dict[str, Any]:
    """Return the entries of the file but the hash; ``unlabelled`` is left out if there are none."""
    body = {"format": FORMAT, **asdict(facts)}
    if facts.unlabelled is None:
        del body["unlabelled"]
        return body
    return {**body, "format": FORMAT_UNLABELLED}
