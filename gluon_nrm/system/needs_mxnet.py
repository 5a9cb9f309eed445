"""Imported first by every part of the package that imports MXNet, so that it is checked before.

Raises a one-line ``SetupError`` that says what to install where MXNet would not import or not work.
"""

from __future__ import annotations

from gluon_nrm.system.environment import prepare_for_mxnet

prepare_for_mxnet()
