"""Every core, every operator, and the tiles of bfloat16: what MXNet is told before its first operator."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Set

import mxnet as mx
import pytest
from fakes import ROOT
from needs import needs_bfloat16

from gluon_nrm.recipe import load_recipe
from gluon_nrm.runs.open_run import RunFolder
from gluon_nrm.system import processor
from gluon_nrm.system.processor import has_instructions, precision_warning, usable_cores
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.fit import opening_lines

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


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        ({"avx2"}, "", 8),
        ({"avx2", "avx512f"}, "", 16),
        ({"avx2", "avx512f"}, "AVX2", 8),
        ({"avx2", "avx512f"}, "AVX512_CORE", 16),
        (set(), "", 16),
    ],
)
def test_channels_at_once_are_those_of_the_instructions(
    flags: Set[str], limit: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "has_instructions", flags.__contains__)
    monkeypatch.setenv(processor.INSTRUCTIONS, limit)
    assert processor.channels_at_once() == expected


@needs_bfloat16
def test_tiles_are_asked_for_where_they_are_and_the_variable_does_not_stay() -> None:
    allowed, left, error = run(TILES).split()
    if not has_instructions("amx_bf16"):
        assert allowed == "False"
    assert left == "False"
    assert 0 < float(error) < 0.02  # 8 bits of mantissa
    allowed, left, error = run(TILES, DNNL_MAX_CPU_ISA="AVX512_CORE").split()
    assert (allowed, left) == ("False", "True")  # the user's own choice stands


def test_bfloat16_without_instructions_for_it_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processor, "has_instructions", {"avx512bw"}.__contains__)
    parts = assemble(load_recipe(ROOT / "recipes" / "digits_supervised.yaml"), [mx.cpu(0)])
    run = RunFolder(tmp_path)
    assert not any("train.dtype" in line for line in opening_lines(parts, run, 0))
    low = replace(parts.recipe, train=replace(parts.recipe.train, dtype="bfloat16"))
    lines = opening_lines(replace(parts, recipe=low), run, 0)
    assert [line for line in lines if "train.dtype" in line] == [
        "warning  train.dtype: bfloat16 is no faster on this processor, which has no instructions for it "
        "(avx512_bf16 or amx_bf16); use float32"
    ]


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_with_instructions_for_it(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "has_instructions", {flag}.__contains__)
    assert precision_warning("bfloat16") is None and precision_warning("float32") is None
