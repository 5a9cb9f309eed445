"""Backend that runs an export's symbol and parameters in MXNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, TypeVar

import mxnet as mx

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.backends import Arrays, BatchFunction
from gluon_nrm.predict.manifest import Manifest, check_files
from gluon_nrm.predict.symbol_block import (
    check_memory,
    last_line,
    make_block,
    read_pair,
    run_block,
    to_arrays,
)
from gluon_nrm.system.devices import parse_devices

FORMATS = {False: ("symbol", "params"), True: ("int8-symbol", "int8-params")}
T = TypeVar("T")
Shapes = Dict[str, Tuple[int, ...]]


def load(
    folder: Path, manifest: Manifest, int8: bool = False, devices: Optional[str] = None
) -> BatchFunction:
    """Load symbol and parameters and check that they belong together.

    Args:
        folder: the export.
        manifest: its description.
        int8: load the quantised pair.
        devices: as for ``fit``; the first one is used.

    Raises:
        DeployError: a file is missing or damaged, MXNet cannot read it, or the two do not belong together.
    """
    symbol_path, params_path = check_files(folder, manifest, *FORMATS[int8])
    paths = (symbol_path, params_path)
    symbol, arrays = read_pair(paths)
    _check(symbol, arrays, manifest, paths)
    run = _guarded(paths[0], lambda: _run(symbol, arrays, manifest.input.name, parse_devices(devices)[0]))
    return lambda images: _guarded(paths[0], lambda: run(images))


def run_files(paths: Tuple[Path, Path], name: str, device: Any) -> BatchFunction:
    """Load a symbol and its parameters, unchecked.

    Args:
        paths: paths of the two files.
        name: name of the input.
        device: an MXNet context.
    """
    return _run(*read_pair(paths), name, device)


def _guarded(path: Path, action: Callable[[], T]) -> T:
    """Convert errors of MXNet, which a wrong symbol causes, to DeployError."""
    try:
        return action()
    except (mx.MXNetError, AssertionError, ValueError) as problem:
        raise DeployError(
            f"{path}: MXNet cannot run it ({last_line(problem)}); export the run again"
        ) from problem


def _run(symbol: Any, arrays: Mapping[str, Arrays], name: str, device: Any) -> BatchFunction:
    block = make_block(symbol, to_arrays(arrays), name, device)
    return lambda images: run_block(block, mx.nd.array(images, ctx=device))


def _check(symbol: Any, arrays: Mapping[str, Arrays], manifest: Manifest, paths: Tuple[Path, Path]) -> None:
    """Raise DeployError unless the parameters are the symbol's, and the symbol is the manifest's."""
    apart = f"{paths[0]} and {paths[1].name} do not belong together"
    wanted = _shapes(symbol, manifest, apart)
    found = {name.partition(":")[2]: tuple(array.shape) for name, array in arrays.items()}
    if len(found) != len(arrays):
        raise DeployError(f"{paths[1]}: two parameters have one name; export the run again")
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
    check_memory(symbol, {**found, manifest.input.name: (1, *manifest.input_shape)}, str(paths[0]))


def _shapes(symbol: Any, manifest: Manifest, apart: str) -> Shapes:
    """Infer the shape of each parameter of a symbol, as far as possible."""
    arguments, states = symbol.list_arguments(), symbol.list_auxiliary_states()
    if manifest.input.name not in arguments:
        raise DeployError(f"{apart}: the symbol has no input {manifest.input.name}; export the run again")
    try:
        shapes, _, of_states = symbol.infer_shape_partial(**{manifest.input.name: (1, *manifest.input_shape)})
    except mx.MXNetError as problem:
        raise DeployError(
            f"{apart}: the symbol does not take the manifest's images ({last_line(problem)}); "
            "export the run again"
        ) from problem
    named = {**dict(zip(arguments, shapes or ())), **dict(zip(states, of_states or ()))}
    return {name: tuple(shape) for name, shape in named.items() if name != manifest.input.name}
