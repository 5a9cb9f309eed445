"""The quick form of ``make wheel-check``: the wheel is installed beside the packages of this environment."""

from __future__ import annotations

from importlib import util

import pytest
import wheel_check


@pytest.mark.skipif(util.find_spec("build") is None, reason="needs build (requirements-dev.txt)")
def test_the_wheel_is_the_product(capsys: pytest.CaptureFixture) -> None:
    assert wheel_check.main(["--quick"]) == 0, capsys.readouterr().out
