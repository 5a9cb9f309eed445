"""Errors meant for people.

Every message says what is wrong, where (file, key, value) and what to do about it, in one or two lines. The
command-line tools print it without a traceback and leave with ``exit_code``; anything that is not an
``NRMError`` is a defect of ours.
"""

from __future__ import annotations


class NRMError(Exception):
    """Base of all errors a user can cause and mend."""

    exit_code = 2


class SetupError(NRMError):
    """Python, MXNet, numpy or a CUDA library is missing or of the wrong version."""


class RecipeError(NRMError):
    """A recipe or an override of it cannot be understood."""


class DataError(NRMError):
    """A data set, split or image is missing, damaged or too small for what was asked."""


class MissingData(DataError):
    """The files of a known data set are not there yet; the message holds the command that gets them."""


class ModelError(NRMError):
    """A network cannot be built from the given description."""


class CheckpointError(NRMError):
    """A checkpoint is missing, damaged or belongs to another network."""


class RunError(NRMError):
    """A run folder is missing, damaged, busy or holds another recipe."""


class DeployError(NRMError):
    """A run cannot be exported as asked, an export is damaged, or what it needs is not installed."""


class DeviceError(NRMError):
    """A device or kvstore does not exist here or does not fit the batch."""


class DistributedError(NRMError):
    """A job of several processes cannot start, or its processes do not fit together."""


class NonFiniteLoss(NRMError):
    """A loss term or a parameter became infinite or not-a-number; the last good checkpoint is kept."""

    exit_code = 3
