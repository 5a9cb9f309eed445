"""Loading of a classifier from the folder of an export or of a run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from gluon_nrm.errors import DeployError
from gluon_nrm.option_names import option
from gluon_nrm.predict.backends import MXNET
from gluon_nrm.predict.classifier import FileClassifier, open_export
from gluon_nrm.predict.manifest import MANIFEST
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.runs.suggest_run import suggest_run
from gluon_nrm.storage.files import exists, is_dir
from gluon_nrm.system.commands import command_name

RECIPE = "recipe.yaml"


def open_classifier(folder: Path, options: PredictOptions) -> FileClassifier:
    """Load the classifier in a folder; an export needs one backend, a run needs MXNet.

    Raises:
        NRMError: the folder is neither, is damaged, or does not hold the requested network or output.
    """
    if not is_dir(folder, DeployError):
        meant = suggest_run(folder)
        remedy = f"did you mean {meant}?" if meant else "give the folder of a run or of an export"
        raise DeployError(f"{folder}: there is no such folder; {remedy}")
    if exists(folder / MANIFEST, DeployError):
        return open_export(folder, options)
    if not exists(folder / RECIPE, DeployError):
        meant = suggest_run(folder)
        remedy = f"did you mean {meant}?" if meant else "give the folder of one"
        raise DeployError(f"{folder} is neither an export ({MANIFEST}) nor a run ({RECIPE}); {remedy}")
    if options.int8 or options.backend not in (None, MXNET):
        chosen = option("int8", True) if options.int8 else option("backend", options.backend)
        export = command_name("export")
        raise DeployError(f"{chosen}: {folder} is a run, and this is for exports; use {export} first")
    import_module("gluon_nrm.system.needs_mxnet")
    found: FileClassifier = import_module("gluon_nrm.predict.run_classifier").open_run(folder, options)
    return found
