"""Loading of a classifier: from the folder of an export or of a run, or a pretrained one by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Optional, Union

from gluon_nrm.errors import DeployError
from gluon_nrm.option_names import option
from gluon_nrm.predict.backends import MXNET
from gluon_nrm.predict.classifier import FileClassifier, open_export
from gluon_nrm.predict.manifest import MANIFEST
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.pretrained.names import pretrained_name, suggest_pretrained
from gluon_nrm.runs.suggest_run import suggest_run
from gluon_nrm.storage.files import exists, is_dir
from gluon_nrm.system.commands import command_name

RECIPE = "recipe.yaml"


def open_classifier(model: Union[str, Path], options: Optional[PredictOptions] = None) -> FileClassifier:
    """Load a classifier; an export needs one backend, a run and a pretrained network need MXNet.

        open_classifier("digits_maxmin_mt_50").predict(pixels).probabilities

    Args:
        model: the folder of an export or of a run, or the name of a pretrained network
            (``list_models(pretrained=True)``). A folder of that name comes first.
        options: network, output, backend and device; None: the defaults.

    Raises:
        NRMError: it is none of these, is damaged, or does not hold the requested network or output.
    """
    folder, options = Path(model), options or PredictOptions()
    if pretrained_name(folder) is not None:
        return _open_network(folder, options)
    if not is_dir(folder, DeployError):
        meant = suggest_run(folder)
        remedy = f"did you mean {meant}?" if meant else _remedy(folder)
        raise DeployError(f"{folder}: there is no such folder; {remedy}")
    if exists(folder / MANIFEST, DeployError):
        return open_export(folder, options)
    if not exists(folder / RECIPE, DeployError):
        meant = suggest_run(folder)
        remedy = f"did you mean {meant}?" if meant else "give the folder of one"
        raise DeployError(f"{folder} is neither an export ({MANIFEST}) nor a run ({RECIPE}); {remedy}")
    return _open_network(folder, options)


def _open_network(folder: Path, options: PredictOptions) -> FileClassifier:
    """Open a run or a pretrained network, with MXNet."""
    if options.int8 or options.backend not in (None, MXNET):
        chosen = option("int8", True) if options.int8 else option("backend", options.backend)
        export = command_name("export")
        raise DeployError(f"{chosen}: {folder} is a run, and this is for exports; use {export} first")
    import_module("gluon_nrm.system.needs_mxnet")
    found: FileClassifier = import_module("gluon_nrm.predict.run_classifier").open_run(folder, options)
    return found


def _remedy(folder: Path) -> str:
    """Say what can be given in place of a folder that does not exist."""
    if folder.parent != Path():
        return "give the folder of a run or of an export"
    meant = suggest_pretrained(folder.name)
    return f"give the folder of a run or of an export, or a pretrained network; {meant}"
