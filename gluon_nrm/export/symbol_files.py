"""Writing, reading and running of MXNet's two files, NAME-symbol.json and NAME-0000.params."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.graph.shapes import to_symbols
from gluon_nrm.predict.manifest import IMAGE
from gluon_nrm.predict.symbol_block import make_block, read_pair, run_block, to_arrays
from gluon_nrm.storage import files
from gluon_nrm.storage.params_file import PREFIXES, to_bytes

# MXNet prints a message on every binding that it fuses operators
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

Arrays = Dict[str, Any]


def to_symbol(graph: InferenceGraph) -> Tuple[Any, Arrays, Arrays]:
    """Return the symbol, its parameters, and its auxiliary states (the running statistics of norms left)."""
    symbols = to_symbols(graph)
    symbol = mx.sym.Group([symbols[entry] for entry in graph.outputs.values()])
    states = set(symbol.list_auxiliary_states())
    values = {name: mx.nd.array(value, dtype="float32") for name, value in graph.arrays.items()}
    return (
        symbol,
        {name: value for name, value in values.items() if name not in states},
        {name: value for name, value in values.items() if name in states},
    )


def write_files(paths: Tuple[Path, Path], symbol: Any, arguments: Arrays, states: Arrays) -> None:
    """Write a symbol and its arrays, byte for byte as ``symbol.save`` and ``mx.nd.save`` do.

    Those two crash on a full disk and refuse paths that are not UTF-8.

    Raises:
        DeployError: they cannot be written; neither file is then left half-written.
    """
    named = {f"arg:{name}": value.asnumpy() for name, value in arguments.items()}
    named.update({f"aux:{name}": value.asnumpy() for name, value in states.items()})
    for path, data in zip(paths, (symbol.tojson().encode("utf-8"), to_bytes(named))):
        with files.os_errors(DeployError, "write", path):
            files.write_bytes(path, data)


def read_files(paths: Tuple[Path, Path]) -> Tuple[Any, Arrays, Arrays]:
    """Read what ``write_files`` wrote.

    Raises:
        DeployError: as ``read_pair``.
    """
    symbol, read = read_pair(paths)
    arrays = to_arrays(read)
    arguments, states = (
        {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
        for prefix in PREFIXES
    )
    return symbol, arguments, states


def run_once(paths: Tuple[Path, Path], images: np.ndarray) -> List[np.ndarray]:
    """Run the files on the CPU as ``gluon.SymbolBlock.imports`` does, hybridised.

    Raises:
        DeployError: as ``read_pair``.
    """
    symbol, arrays = read_pair(paths)
    block = make_block(symbol, to_arrays(arrays), IMAGE, mx.cpu())
    return run_block(block, mx.nd.array(images))


class BoundModel:
    """A symbol and its arrays bound as a ``Module``, as the C prediction interface binds them.

    Args:
        model: the symbol, its parameters, its auxiliary states.
        batch: batch size.
        image: channels, height and width.
    """

    def __init__(self, model: Tuple[Any, Arrays, Arrays], batch: int, image: Tuple[int, ...]) -> None:
        symbol, arguments, states = model
        self._module = mx.mod.Module(symbol, data_names=[IMAGE], label_names=None, context=mx.cpu())
        self._module.bind([(IMAGE, (batch, *image))], for_training=False)
        self._module.set_params(arguments, states)

    def __call__(self, images: np.ndarray) -> List[np.ndarray]:
        """Run a batch; a batch of another size is bound again."""
        self._module.forward(mx.io.DataBatch([mx.nd.array(images)]), is_train=False)
        return [value.asnumpy() for value in self._module.get_outputs()]
