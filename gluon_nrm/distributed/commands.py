"""Commands from a worker to MXNet's servers: JSON, signed with the job's key.

MXNet's servers unpickle every command, so anyone who reaches them can run programs. Ours are started with our
own controller (``serve``), which reads only signed JSON.
"""

from __future__ import annotations

import hmac
import json
from typing import Any, Dict, Mapping, Optional


def sign(key: bytes, command: Mapping[str, Any]) -> str:
    """Write a command as its HMAC (SHA-256), a space, and the command as JSON."""
    body = json.dumps(command)
    return f"{_digest(key, body.encode('utf-8'))} {body}"


def read_command(key: bytes, data: bytes) -> Optional[Dict[str, Any]]:
    """Read a command; None if it is not signed with the key."""
    digest, _, body = data.partition(b" ")
    if not key or not hmac.compare_digest(digest, _digest(key, body).encode("ascii")):
        return None
    command = json.loads(body)
    return command if isinstance(command, dict) else None


def _digest(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, "sha256").hexdigest()
