"""Start a command as the workers of a distributed job, with MXNet's scheduler and servers.

gluon-nrm launch -n 2 -s 1 gluon-nrm train recipes/digits_nrm.yaml --kvstore dist_sync
gluon-nrm launch -n 8 --hosts hosts.txt gluon-nrm train RECIPE --kvstore dist_sync
srun --kill-on-bad-exit=1 gluon-nrm launch gluon-nrm train RECIPE --kvstore dist_sync

When one process fails, all are ended, its last lines are shown, and the exit code is its own. Ctrl-C is
passed on: training finishes its step, saves and stops. More: docs/distributed.md.
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.cli.main import COMMANDS
from gluon_nrm.console.tool import ToolParser, place
from gluon_nrm.distributed.launch import Options, launch
from gluon_nrm.system.commands import command, line_again


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("launch", __doc__)
    parser.add_argument("-n", type=_count, metavar="WORKERS", help="workers; under srun, mpirun: one a task")
    parser.add_argument("-s", type=_count, metavar="SERVERS", help="servers (default: one a host)")
    parser.add_argument("--hosts", type=place, metavar="FILE", help="hosts to use through ssh, one a line")
    parser.add_argument("--port", type=_port, help="the scheduler's (default: a free one)")
    parser.add_argument("--root", metavar="HOST", help="under mpirun on several machines: the one of rank 0")
    parser.add_argument(
        "--patience", type=_seconds, metavar="SECONDS",
        help="how long each process waits for the others when the job starts (default: 120; 0: without end)",
    )  # fmt: skip
    parser.add_argument(
        "--loopback", action="store_true",
        help="on one machine: do without a network of the job's own, where workers need the machine's; all "
        "users of the machine can then reach the job's ports",
    )  # fmt: skip
    parser.add_argument(
        "--allow-public", action="store_true",
        help="allow public addresses. DANGER: whoever reaches the ports can end the job, read its parameters "
        "and change them; let a firewall admit the job's hosts alone",
    )  # fmt: skip
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what every worker runs")
    options = parser.parse_args(arguments)
    if not options.command:
        example = command("train", "RECIPE")
        parser.error(f"give the command that every worker runs, such as {example}")
    name, *rest = options.command
    if name in COMMANDS:
        example = command("launch", *arguments[: -len(options.command)])
        parser.error(f"{name!r} is no command of the shell; use: {example} {command(name, *rest)}")
    return options


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return seconds


def main(arguments: Sequence[str]) -> int:
    """Start the job and stay until it has ended."""
    options = parse(arguments)
    how = Options(
        workers=options.n, servers=options.s, port=options.port, patience=options.patience,
        public=options.allow_public, enclosed=not options.loopback,
        started_by=line_again("launch", arguments),
    )  # fmt: skip
    launch(options.command, how, hosts=options.hosts, root=options.root)
    return 0
