"""Check the set-up when imported. Each folder that needs MXNet imports this module first.

Raises a ``SetupError`` of one line that says what to install if MXNet would not import or not work.
"""

from __future__ import annotations

from gluon_nrm.system.environment import prepare_for_mxnet

prepare_for_mxnet()
