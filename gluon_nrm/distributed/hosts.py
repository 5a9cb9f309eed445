"""The hosts of a job: read from a file, and reached through ssh."""

from __future__ import annotations

import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

from gluon_nrm.distributed.addresses import resolve
from gluon_nrm.errors import DistributedError
from gluon_nrm.storage.files import os_errors, read_file

#: Seconds for a host to answer.
PATIENCE = 15

#: ssh must not ask questions: there may be many hosts, or no terminal.
_SSH = ("ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={PATIENCE}")


class Host(NamedTuple):
    """A machine of the job."""

    name: str
    #: IPv4 address that its servers and workers listen on
    address: str
    #: processes are started through ssh
    remote: bool = False
    #: ssh's port; None: that of ssh's own configuration
    port: Optional[int] = None

    def command(self, arguments: Sequence[str], variables: Dict[str, str]) -> List[str]:
        """The command that runs ``arguments`` with ``variables`` on the host, in the current folder."""
        if not self.remote:
            return list(arguments)
        assignments = [f"{name}={value}" for name, value in sorted(variables.items())]
        with os_errors(DistributedError, "find", "the working folder"):
            here = os.getcwd()
        remote = f"cd {shlex.quote(here)} && exec {shlex.join(['env', *assignments, *arguments])}"
        return [*self._ssh(), remote]

    def problem(self) -> Optional[str]:
        """Explain why the host cannot be reached; None if it can."""
        if not self.remote:
            return None
        try:
            done = subprocess.run(
                [*self._ssh(), "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, errors="replace", timeout=2 * PATIENCE,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no answer in {2 * PATIENCE} s"
        except OSError as problem:
            return f"ssh cannot be run: {problem.strerror}"
        if done.returncode == 0:
            return None
        return (done.stderr.strip().splitlines() or [f"ssh ended with {done.returncode}"])[-1]

    def _ssh(self) -> List[str]:
        return [*_SSH, *(["-p", str(self.port)] if self.port else []), self.name]


def read_hosts(path: Union[str, Path]) -> List[Host]:
    """Read a file of hosts: one a line, ``NAME`` or ``NAME:SSH_PORT``; what follows ``#`` is left out.

    Raises:
        DistributedError: the file cannot be read, names no host, one twice, one that is not known, or a port
            that is none.
    """
    try:
        lines = read_file(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is no text"
        raise DistributedError(
            f"--hosts: cannot read {path}: {reason}; give a file of one host a line"
        ) from None
    hosts: List[Host] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            hosts.append(_parse(text, f"{path}:{number}"))
            if [host.name for host in hosts].count(hosts[-1].name) > 1:
                raise DistributedError(
                    f"{path}:{number}: {hosts[-1].name} is named twice; name each host once"
                )
    if not hosts:
        raise DistributedError(f"--hosts: {path} names no host; write one a line")
    return hosts


def check_hosts(hosts: Sequence[Host]) -> None:
    """Log in on every host, all at once.

    Raises:
        DistributedError: naming the first that cannot be reached, with ssh's own words.
    """
    with ThreadPoolExecutor(max_workers=32) as threads:
        for host, problem in zip(hosts, threads.map(Host.problem, hosts)):
            if problem is not None:
                raise DistributedError(
                    f"--hosts: {host.name} cannot be reached: {problem};\n"
                    f"`ssh {host.name} true` has to work without a question"
                )


def _parse(text: str, where: str) -> Host:
    name, colon, port = text.partition(":")
    if len(text.split()) > 1 or not name or (colon and not (port.isdigit() and 0 < int(port) < 65536)):
        raise DistributedError(
            f"{where}: {text!r} is no host; write NAME, or NAME:PORT for ssh on another port"
        )
    return Host(name, resolve(name), True, int(port) if colon else None)
