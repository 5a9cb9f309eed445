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

from benchmarks.peer_torch import METHODS, WEIGHTS
from benchmarks.torch_nrm import TorchNRM, loss_terms


def read_arrays(folder: Path) -> Dict[str, torch.Tensor]:
    """Read what ``peer_terms.write_arrays`` wrote."""
    values = torch.frombuffer(bytearray((folder / "arrays.bin").read_bytes()), dtype=torch.float32)
    found, begin = {}, 0
    for name, shape in json.loads((folder / "arrays.json").read_text(encoding="utf-8")):
        size = torch.Size(shape).numel()
        found[name] = values[begin : begin + size].reshape(shape)
        begin += size
    return found


def terms_and_gradients(method: str, arrays: Dict[str, torch.Tensor]) -> Dict[str, Any]:
    """Terms of both streams, and the norm of every parameter's gradient."""
    net = TorchNRM(maxmin=METHODS[method][0], dropout=0.0)
    state = {name[len("net.") :]: value for name, value in arrays.items() if name.startswith("net.")}
    unknown = net.load_state_dict(state, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"no parameter {unknown[0]}")
    targets = arrays["targets"] if METHODS[method][1] else None
    found: Dict[str, Any] = {}
    total = torch.zeros(())
    for stream, labels in (("unlabelled", None), ("labelled", arrays["labels"].long())):
        terms = loss_terms(net, arrays[f"images.{stream}"], labels, targets)
        found[stream] = {name: term.item() for name, term in terms.items()}
        for name, term in terms.items():
            total = total + WEIGHTS[name] * term
    total.backward()
    found["gradients"] = {
        name: each.grad.norm().item() for name, each in net.named_parameters() if each.grad is not None
    }
    return found


if __name__ == "__main__":
    print(json.dumps(terms_and_gradients(sys.argv[1], read_arrays(Path(sys.argv[2])))))
