"""An export's symbol and parameters, run by MXNet; nothing of the package that trains is needed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import mxnet as mx

from gluon_nrm.deploy.backends import Arrays, Run
from gluon_nrm.deploy.manifest import Manifest, check_files
from gluon_nrm.errors import DeployError
from gluon_nrm.training.devices import parse_devices

FORMATS = {False: ("symbol", "params"), True: ("int8-symbol", "int8-params")}


def load(folder: Path, manifest: Manifest, int8: bool = False, devices: Optional[str] = None) -> Run:
    """Load a pair of files and check that they belong together.

    Args:
        folder: the export.
        manifest: of it.
        int8: take the quantised pair.
        devices: as for ``fit``; of several the first is used.

    Raises:
        DeployError: a file is missing or damaged, MXNet cannot read it, or the two do not belong together.
    """
    symbol_path, params_path = check_files(folder, manifest, *FORMATS[int8])
    symbol = _read(mx.sym.load, symbol_path)
    _check(symbol, _read(mx.nd.load, params_path), manifest, (symbol_path, params_path))
    return run_files((symbol_path, params_path), manifest.input.name, parse_devices(devices)[0])


def run_files(paths: Tuple[Path, Path], name: str, device: Any) -> Run:
    """Run a symbol and its parameters, unchecked, on an MXNet context; ``name``: of the input."""
    with warnings.catch_warnings():
        # of every input whose type the file does not say
        warnings.filterwarnings("ignore", message="Cannot decide type")
        block = mx.gluon.SymbolBlock.imports(str(paths[0]), [name], str(paths[1]), ctx=device)
    block.hybridize(static_alloc=True, static_shape=True)

    def run(images: Arrays) -> List[Arrays]:
        found = block(mx.nd.array(images, ctx=device))
        return [each.asnumpy() for each in (found if isinstance(found, (list, tuple)) else [found])]

    return run


def _read(reader: Any, path: Path) -> Any:
    try:
        return reader(str(path))
    except (mx.MXNetError, ValueError, UnicodeDecodeError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise DeployError(f"{path}: MXNet cannot read it ({reason}); export the run again") from problem


def _check(symbol: Any, arrays: Any, manifest: Manifest, paths: Tuple[Path, Path]) -> None:
    """Raise DeployError unless the parameters are the symbol's, and the symbol is the manifest's."""
    apart = f"{paths[0]} and {paths[1].name} do not belong together"
    wanted = _shapes(symbol, manifest, apart)
    found: Dict[str, Tuple[int, ...]] = (
        {name.partition(":")[2]: tuple(array.shape) for name, array in arrays.items()}
        if isinstance(arrays, dict)
        else {}
    )
    for name in sorted({*wanted, *found}):
        here, there = wanted.get(name), found.get(name)
        if here is None or there is None:
            missing = f"parameter {name} is only in the {'symbol' if there is None else 'parameters'}"
            raise DeployError(f"{apart}: {missing}; export the run again")
        if here and 0 not in here and here != there:
            raise DeployError(f"{apart}: {name} is {there}, {here} is wanted; export the run again")
    outputs = len(symbol.list_outputs())
    if outputs != len(manifest.outputs):
        raise DeployError(
            f"{paths[0]}: {outputs} outputs, and {len(manifest.outputs)} are listed; export the run again"
        )


def _shapes(symbol: Any, manifest: Manifest, apart: str) -> Dict[str, Tuple[int, ...]]:
    """Shape of each parameter that a symbol reads, as far as it can be told."""
    arguments, states = symbol.list_arguments(), symbol.list_auxiliary_states()
    if manifest.input.name not in arguments:
        raise DeployError(f"{apart}: the symbol has no input {manifest.input.name}; export the run again")
    try:
        shapes, _, of_states = symbol.infer_shape_partial(**{manifest.input.name: (1, *manifest.input_shape)})
    except mx.MXNetError as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise DeployError(
            f"{apart}: the symbol does not take the manifest's images ({reason}); export the run again"
        ) from problem
    named = {**dict(zip(arguments, shapes)), **dict(zip(states, of_states))}
    return {name: tuple(shape) for name, shape in named.items() if name != manifest.input.name}
