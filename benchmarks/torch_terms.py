"""Loss terms and gradients of the PyTorch network, for parameters and images read from a file.

Run by ``peer_terms.py`` in the Python that has PyTorch. The folder holds ``arrays.json``, a list of names and
shapes, and ``arrays.bin``, the float32 values in that order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict

import torch

from benchmarks.networks import CLASSES, METHODS, NETWORKS
from benchmarks.peer_modes import PEER_MODES
from benchmarks.torch_nrm import TorchNRM
from benchmarks.torch_step import EVERY_WEIGHT, TorchPasses


def read_arrays(folder: Path) -> Dict[str, torch.Tensor]:
    """Read what ``peer_terms.write_arrays`` wrote."""
    values = torch.frombuffer(bytearray((folder / "arrays.bin").read_bytes()), dtype=torch.float32)
    found, begin = {}, 0
    for name, shape in json.loads((folder / "arrays.json").read_text(encoding="utf-8")):
        size = torch.Size(shape).numel()
        found[name] = values[begin : begin + size].reshape(shape)
        begin += size
    return found


def terms_and_gradients(
    network: str, method: str, mode: str, arrays: Dict[str, torch.Tensor]
) -> Dict[str, Any]:
    """Terms of both streams, and the norm of every parameter's gradient.

    Raises:
        ValueError: a parameter that the network does not have.
    """
    measured, settings = NETWORKS[network], METHODS[method]
    net = TorchNRM(measured.layers, measured.shape[0], CLASSES, settings.maxmin, dropout=0.0)
    state = {name[len("net.") :]: value for name, value in arrays.items() if name.startswith("net.")}
    unknown = net.load_state_dict(state, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"no parameter {unknown[0]}")
    passes = TorchPasses(net, PEER_MODES[mode])
    targets = arrays["targets"] if settings.teacher else None
    zero_states = passes.zero_states(arrays["images.labelled"])
    found: Dict[str, Any] = {}
    for stream, labels in (("unlabelled", None), ("labelled", arrays["labels"].long())):
        terms = passes.terms(arrays[f"images.{stream}"], labels, zero_states, targets)
        found[stream] = {name: term.item() for name, term in terms.items()}
        sum(EVERY_WEIGHT[name] * term for name, term in terms.items()).backward()
    found["gradients"] = {
        name: each.grad.norm().item() for name, each in net.named_parameters() if each.grad is not None
    }
    return found


if __name__ == "__main__":
    of_network, of_method, of_mode, folder = sys.argv[1:]
    print(json.dumps(terms_and_gradients(of_network, of_method, of_mode, read_arrays(Path(folder)))))
