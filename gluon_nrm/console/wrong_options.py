"""Messages for arguments of a command that are wrong: the option or the line that was meant."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import Callable, List, Optional, Sequence

from gluon_nrm.system.commands import CONSOLE, command, with_commands

#: Return the words to use in place of an option that does not exist, given its name and value; None: unknown.
Replace = Callable[[str, Optional[str]], Optional[List[str]]]

_KINDS = {"int": ("an integer", "1"), "float": ("a number", "0.5")}


def explain_unknown(
    parser: argparse.ArgumentParser, name: str, unknown: str, words: Sequence[str], replace: Optional[Replace]
) -> str:
    """Say what to type in place of an argument that a command does not have.

    Args:
        parser: the command's parser.
        name: the command.
        unknown: the first argument that was not understood.
        words: all arguments.
        replace: the command's own replacements.
    """
    flag, equals, value = unknown.partition("=")
    if not flag.startswith("-") or name == "":
        extra = f"; quote an argument with spaces in it; {command(name, '--help')}" if name else ""
        return f"unrecognized arguments: {unknown}{extra}"
    place = list(words).index(unknown)
    following = list(words[place + 1 : place + 2])
    taken = 0 if equals or not following or following[0].startswith("-") else 1
    given = value if equals else (following[0] if taken else None)
    options = [option for action in parser._actions for option in action.option_strings if len(option) > 2]
    close = difflib.get_close_matches(flag, options, n=1, cutoff=0.85)
    if close:
        line = [*words[:place], f"{close[0]}{equals}{value}", *words[place + 1 :]]
        return f"{flag} is no option of {name}; use: {command(name, *line)}"
    instead = replace(flag.lstrip("-"), given) if replace is not None else None
    if instead is not None:
        line = [*words[:place], *instead, *words[place + 1 + taken :]]
        return f"{flag} is no option of {name}; use: {command(name, *line)}"
    positional = _positional(parser, flag.lstrip("-"))
    if positional and given is not None:
        line = [*words[:place], given, *words[place + 1 + taken :]]
        return f"{flag} is no option, {positional} is given without one: {command(name, *line)}"
    return f"unrecognized arguments: {unknown}; {command(name, '--help')} lists the options"


def explain(message: str, name: str, description: Optional[str]) -> str:
    """Add to a message of argparse what to type instead."""
    kind = re.search(r"argument (\S+): invalid (int|float) value: ('.*')", message)
    if kind:
        what, example = _KINDS[kind[2]]
        option = kind[1].split("/")[-1]
        several = re.fullmatch(r"'([-\d]+(?:,\s*[-\d]+)+)'", kind[3])
        numbers = " ".join(re.split(r",\s*", several[1])) if several else example
        return f"{message}; give {what}, such as {option} {numbers}"
    if "the following arguments are required" in message or "expected" in message:
        line = _example(name, description)
        return f"{message}; for example: {line}" if line else message
    return message


def _positional(parser: argparse.ArgumentParser, name: str) -> Optional[str]:
    """Return the name of the argument without an option that is called so."""
    for action in parser._actions:
        if not action.option_strings and name in (action.dest, action.dest.rstrip("s")):
            return str(action.metavar or action.dest)
    return None


def _example(name: str, description: Optional[str]) -> Optional[str]:
    """Return the first line of a description that calls the command."""
    found = re.search(rf"^ *({CONSOLE} {name} .*?)(?: {{2,}}.*)?$", description or "", re.MULTILINE)
    return with_commands(found[1]) if found and name else None
