"""Find ``gluon_nrm`` and check that MXNet works; every tool that needs MXNet imports this first.

    import _checkout  # noqa: F401  (first: finds gluon_nrm)

    from gluon_nrm.console.tool import run_tool

See ``_package``.
"""

from __future__ import annotations

from _package import ROOT as ROOT
from _package import import_or_leave

import_or_leave("gluon_nrm.system.needs_mxnet")
