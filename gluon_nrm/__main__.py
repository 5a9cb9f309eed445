"""``python -m gluon_nrm COMMAND``: the same as ``gluon-nrm COMMAND``."""

from __future__ import annotations

from gluon_nrm.cli.main import main

if __name__ == "__main__":
    main()
