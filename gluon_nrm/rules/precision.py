"""Convolutions in half precision: casts of their inputs and outputs.

Parameters, statistics and losses stay float32. The casts are operators, so gradients are float32 as well.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Union

import numpy as np

from gluon_nrm.typing import Operators, Tensor

#: Types by their names in recipes. numpy has no bfloat16; MXNet's own stand-in is a record.
DTYPES: Dict[str, Union[str, np.dtype]] = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": np.dtype([("bfloat16", np.uint16)]),
}


def reduce(F: Operators, tensors: Sequence[Tensor], dtype: str) -> List[Tensor]:
    """Cast the inputs of a convolution to ``dtype``."""
    if dtype == "float32":
        return list(tensors)
    return [F.amp_cast(each, dtype=DTYPES[dtype]) for each in tensors]


def restore(F: Operators, y: Tensor, dtype: str) -> Tensor:
    """Cast the output of a convolution back to float32."""
    return y if dtype == "float32" else F.amp_cast(y, dtype="float32")
