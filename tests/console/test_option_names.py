"""Options in messages: as on the command line in a command, as in Python elsewhere."""

from __future__ import annotations

import sys
from typing import Any, List, Sequence, Tuple

import pytest

from gluon_nrm.console.tool import run_tool
from gluon_nrm.errors import DeviceError
from gluon_nrm.option_names import command_line, either, option
from gluon_nrm.system.devices import parse_devices

CASES: List[Tuple[Sequence[Any], str, str]] = [
    (["fresh", True], "--fresh", "fresh=True"),
    (["data_dir"], "--data-dir", "data_dir"),
    (["accept", ["train.epochs"]], "--accept train.epochs", "accept=['train.epochs']"),
    (["formats", ["symbol", "onnx"]], "--format symbol onnx", "formats=['symbol', 'onnx']"),
    (["devices", "cpu(0)"], "--devices 'cpu(0)'", "devices='cpu(0)'"),
    (["rendering"], "--with-rendering", "rendering"),
    (["image", 3], "--image 3", "image=3"),
]


@pytest.mark.parametrize(("arguments", "command", "python"), CASES)
def test_both_spellings(arguments: Sequence[Any], command: str, python: str) -> None:
    assert option(*arguments) == python
    with command_line():
        assert option(*arguments) == command
        with command_line():
            assert either("here", "there") == "here"
        assert either("here", "there") == "here"
    assert option(*arguments) == python and either("here", "there") == "there"


def test_errors_speak_the_language_of_the_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Sequence[str]) -> int:
        parse_devices("tpu")
        return 0

    with pytest.raises(DeviceError, match="^devices: 'tpu' is no device"):
        parse_devices("tpu")
    monkeypatch.setattr(sys, "argv", ["tool"])
    with pytest.raises(SystemExit) as left:
        run_tool(main)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: --devices: 'tpu' is no device")
    with pytest.raises(DeviceError, match="^devices: 'tpu' is no device"):
        parse_devices("tpu")
