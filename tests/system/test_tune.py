"""Importing the package leaves the process as it is; ``tune`` changes it once and returns the changes."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import warnings
from typing import Any, Dict

import mxnet as mx
import pytest

from gluon_nrm import get_model
from gluon_nrm.system.environment import describe_environment
from gluon_nrm.system.tune import tune

VARIABLES = ("OMP_NUM_THREADS", "MXNET_USE_OPERATOR_TUNING", "MXNET_STORAGE_FALLBACK_LOG_VERBOSE")

#: Prints what an import may change in a process: environment, warning filters, and how the allocator behaves.
STATE = """
import ctypes, json, os, re, resource, warnings
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def fill():
    blocks = [libc.malloc(30 * 2**20) for _ in range(3)]
    for block in blocks:
        libc.memset(block, 1, 30 * 2**20)
    for block in blocks:
        libc.free(block)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    fill()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
heap = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*\\[heap\\]$", open("/proc/self/maps").read(), re.MULTILINE)
heap = [(int(start, 16), int(end, 16)) for start, end in heap]
large = libc.malloc(2**27)
print(json.dumps({
    "environment": dict(os.environ),
    "filters": [repr(each) for each in warnings.filters],
    "heap": sum(end - start for start, end in heap),
    "faults": faults,
    "large arrays in the heap": any(start <= large < end for start, end in heap),
}))
"""


def run(program: str, **variables: str) -> Any:
    """The JSON that a program prints, in a process without what this one was tuned to."""
    left_out = (*VARIABLES, "MALLOC_", "GLIBC_TUNABLES", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables}, stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bare() -> Dict[str, Any]:
    state: Dict[str, Any] = run("import mxnet" + STATE)
    return state


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the process through /proc")
def test_an_import_leaves_the_process_as_mxnet_leaves_it(bare: Dict[str, Any]) -> None:
    found = run("import gluon_nrm.models; from gluon_nrm import fit, get_model, maxmin, nrm, tune" + STATE)
    assert found["environment"] == bare["environment"]
    assert found["filters"] == bare["filters"]
    assert found["heap"] < bare["heap"] + 2**28
    assert found["large arrays in the heap"] == bare["large arrays in the heap"]
    assert found["faults"] == pytest.approx(bare["faults"], rel=0.1, abs=1000)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries go untuned")
def test_tuning_changes_what_that_test_looks_at(bare: Dict[str, Any]) -> None:
    found = run("import gluon_nrm; gluon_nrm.tune(); import mxnet" + STATE)
    assert found["faults"] < bare["faults"] / 2
    assert set(found["environment"]) - set(bare["environment"]) == set(VARIABLES)
    assert found["filters"] == bare["filters"]


REPORT = "import json; print(json.dumps(gluon_nrm.tune()._asdict()))"


def test_what_was_changed_is_returned_and_a_second_call_changes_nothing() -> None:
    found = run(f"import gluon_nrm; gluon_nrm.tune(); {REPORT}")
    assert set(found["variables"]) == set(VARIABLES)
    assert found["too_late"] == []


def test_what_the_user_has_set_stays() -> None:
    found = run(f"import gluon_nrm; {REPORT}", OMP_NUM_THREADS="7", MALLOC_ARENA_MAX="3")
    assert set(found["variables"]) == set(VARIABLES) - {"OMP_NUM_THREADS"}
    assert not found["keeps_freed_memory"]
    assert not found["huge_pages"]


def test_after_mxnet_is_imported_what_it_has_read_comes_too_late() -> None:
    program = "import mxnet, os, gluon_nrm; gluon_nrm.tune(); assert 'OMP_NUM_THREADS' not in os.environ; "
    found = run(program + REPORT)
    assert set(found["variables"]) == {"MXNET_STORAGE_FALLBACK_LOG_VERBOSE"}
    assert set(found["too_late"]) == {"OMP_NUM_THREADS", "MXNET_USE_OPERATOR_TUNING"}


def test_a_run_says_what_was_tuned() -> None:
    assert describe_environment()["tuned"] == tune()._asdict()
    described = "from gluon_nrm.system.environment import describe_environment as d; import json"
    assert run(f"{described}; print(json.dumps(d()['tuned']))") is None


def test_a_hybridised_network_classifies_without_a_warning_of_its_rendering_parameters() -> None:
    net = get_model("allconv13", classes=10, input_shape=(3, 32, 32))
    net.initialize()
    net.hybridize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net(mx.nd.zeros((2, 3, 32, 32)))
    assert [str(each.message) for each in caught if "not used by any computation" in str(each.message)] == []
