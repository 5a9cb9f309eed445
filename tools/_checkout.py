"""What every tool that needs MXNet imports first: finds ``gluon_nrm``; one line where it cannot run.

    import _checkout  # noqa: F401  (first: finds gluon_nrm)

    from gluon_nrm.console.tool import run_tool

``_package`` does the rest.
"""

from __future__ import annotations

from _package import ROOT as ROOT
from _package import import_or_leave

import_or_leave("gluon_nrm.system.needs_mxnet")
