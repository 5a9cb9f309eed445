"""Every core, every operator, and the tiles of bfloat16: what MXNet is told before its first operator."""

from __future__ import annotations

import os
import subprocess
import sys

from needs import needs_bfloat16

from gluon_nrm.system.processor import has_instructions, usable_cores

VARIABLES = ("OMP_NUM_THREADS", "MXNET_USE_OPERATOR_TUNING", "DNNL_MAX_CPU_ISA")


def run(code: str, **variables: str) -> str:
    """Run ``code`` in a process without the variables that this one has set; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**environment, **variables}, stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


SHOWN = "import os, gluon_nrm; gluon_nrm.tune(); print(*[os.environ.get(name) for name in %r])" % (VARIABLES,)


def test_every_core_is_used_unless_the_environment_says_otherwise() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
    assert run(SHOWN) == f"{usable_cores()} 0 None"
    assert run(SHOWN, GLUON_NRM_WORKERS_HERE="64") == "1 0 None"
    assert run(SHOWN, OMP_NUM_THREADS="7", MXNET_USE_OPERATOR_TUNING="1") == "7 1 None"


TILES = """
import os
from gluon_nrm.system.processor import allow_matrix_tiles
from gluon_nrm.rules.precision import reduce, restore
allowed = allow_matrix_tiles()
import mxnet as mx
import numpy as np
numbers = np.random.RandomState(0)
x, w = (mx.nd.array(numbers.normal(size=size)) for size in ((2, 32, 9, 9), (16, 32, 3, 3)))
exact = mx.nd.Convolution(x, w, kernel=(3, 3), num_filter=16, no_bias=True)
low = mx.nd.Convolution(*reduce(mx.nd, [x, w], "bfloat16"), kernel=(3, 3), num_filter=16, no_bias=True)
found = restore(mx.nd, low, "bfloat16")
error = np.abs((found - exact).asnumpy()).max() / np.abs(exact.asnumpy()).max()
print(allowed, "DNNL_MAX_CPU_ISA" in os.environ, error)
"""


@needs_bfloat16
def test_tiles_are_asked_for_where_they_are_and_the_variable_does_not_stay() -> None:
    allowed, left, error = run(TILES).split()
    if not has_instructions("amx_bf16"):
        assert allowed == "False"
    assert left == "False"
    assert 0 < float(error) < 0.02  # 8 bits of mantissa
    allowed, left, error = run(TILES, DNNL_MAX_CPU_ISA="AVX512_CORE").split()
    assert (allowed, left) == ("False", "True")  # the user's own choice stands
