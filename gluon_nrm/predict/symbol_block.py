"""Reading of a symbol and its parameters, and a Gluon block that runs them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.symbol_check import check_symbol
from gluon_nrm.storage import files
from gluon_nrm.storage.params_file import from_bytes

Arrays = np.ndarray
#: Most bytes of a file of parameters.
MOST_BYTES = 2**32
#: Most bytes of all values inside a network for one image.
MOST_MEMORY = 2**31


def read_pair(paths: Tuple[Path, Path]) -> Tuple[Any, Dict[str, Arrays]]:
    """Read a symbol and its arrays, whose names begin with ``arg:`` or ``aux:``; both are checked first.

    Raises:
        DeployError: one of the files cannot be read, is damaged, or is none of an export.
    """
    with files.os_errors(DeployError, "read", paths[0]):
        text = check_symbol(files.read_file(paths[0]), str(paths[0]))
    with files.os_errors(DeployError, "read", paths[1]):
        arrays = from_bytes(files.read_file(paths[1], MOST_BYTES), str(paths[1]))
    try:
        return mx.sym.load_json(text), arrays
    except (mx.MXNetError, ValueError) as problem:
        raise DeployError(
            f"{paths[0]}: MXNet cannot read it ({last_line(problem)}); export the run again"
        ) from problem


def last_line(problem: Exception) -> str:
    """Return the last line of an error message; MXNet's begin with a stack trace."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[-1]


def to_arrays(arrays: Mapping[str, Arrays]) -> Dict[str, Any]:
    """Convert NumPy arrays to MXNet arrays of the same types."""
    return {name: mx.nd.array(value, dtype=value.dtype) for name, value in arrays.items()}


def make_block(symbol: Any, arrays: Dict[str, Any], name: str, device: Any) -> Any:
    """Make the block that ``gluon.SymbolBlock.imports`` makes of two files.

    Args:
        symbol: of ``read_pair``.
        arrays: of ``to_arrays``.
        name: of the input.
        device: an MXNet context.
    """
    with warnings.catch_warnings():
        # for every input without a type in the file
        warnings.filterwarnings("ignore", message="Cannot decide type")
        block = mx.gluon.SymbolBlock(symbol, [mx.sym.var(name)])
        block.collect_params().load_dict(arrays, device, cast_dtype=True, dtype_source="saved")
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def run_block(block: Any, images: Any) -> List[Arrays]:
    """Run a batch and return the outputs in order."""
    found = block(images)
    return [each.asnumpy() for each in (found if isinstance(found, (list, tuple)) else [found])]


def check_memory(symbol: Any, given: Dict[str, Tuple[int, ...]], where: str) -> None:
    """Check the memory that a network takes for given shapes of inputs.

    Raises:
        DeployError: a value inside it has no possible shape, or all of them are too large.
    """
    internals = symbol.get_internals()
    try:
        _, shapes, _ = internals.infer_shape_partial(**given)
    except (mx.MXNetError, ValueError) as problem:
        raise DeployError(
            f"{where}: the symbol does not take the manifest's images ({last_line(problem)}); "
            "export the run again"
        ) from problem
    total = sum(4 * int(np.prod([float(length) for length in shape])) for shape in shapes or () if shape)
    if total > MOST_MEMORY:
        raise DeployError(
            f"{where}: one image would take {total / 2**30:.1f} GB in the network, and "
            f"{MOST_MEMORY / 2**30:.0f} GB are allowed; export the run again"
        )
