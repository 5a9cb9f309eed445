"""Convolutions in half precision, everything else in single: casts on the way in and out.

Parameters, statistics and losses stay float32; the casts are operators, so gradients come back float32 too.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

from gluon_nrm.typing import Operators, Tensor

#: By the names that recipes use. MXNet's own stand-in for bfloat16, which numpy does not have, is a record.
DTYPES: Dict[str, Any] = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": np.dtype([("bfloat16", np.uint16)]),
}


def reduce(F: Operators, tensors: Sequence[Tensor], dtype: str) -> List[Tensor]:
    """Cast what goes into a convolution to ``dtype``."""
    if dtype == "float32":
        return list(tensors)
    return [F.amp_cast(each, dtype=DTYPES[dtype]) for each in tensors]


def restore(F: Operators, y: Tensor, dtype: str) -> Tensor:
    """Cast what comes out of it back to float32."""
    return y if dtype == "float32" else F.amp_cast(y, dtype="float32")
