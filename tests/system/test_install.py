"""The line that installs what is missing, in a checkout and for somebody who installed a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ROOT, pretend_installed

from gluon_nrm.errors import SetupError
from gluon_nrm.system import commands, environment, install


@pytest.fixture
def _wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pretend that there is no checkout around the package."""
    monkeypatch.setattr(commands, "TOOLS", tmp_path / "tools")


def test_in_a_checkout() -> None:
    assert install.install_line("cpu") == "pip install -r requirements.txt"
    assert install.install_line("cu112", "--force-reinstall").endswith(
        "--force-reinstall -r requirements-gpu.txt"
    )
    assert install.install_mxnet().endswith("or `make install` and then use .venv/bin/python")
    assert install.install_with_python("3.11") == "`make install PYTHON=python3.11`"


@pytest.mark.parametrize("extra", install._FILES)
def test_the_files_and_extras_exist(extra: str) -> None:
    assert (ROOT / install._FILES[extra]).is_file()
    assert f'"{extra}": ' in (ROOT / "setup.py").read_text(encoding="utf-8")


@pytest.mark.usefixtures("_wheel")
def test_of_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install.install_line("cpu") == 'pip install "gluon_nrm[cpu]"'
    assert install.install_with_python("3.11").startswith(
        "`python3.11 -m venv env` and `env/bin/pip install "
    )
    pretend_installed(monkeypatch, {"numpy": "1.23.5"}, importable=False)
    with pytest.raises(SetupError) as caught:
        environment.check_environment()
    assert str(caught.value).endswith('is not installed in this Python: run `pip install "gluon_nrm[cpu]"`')
