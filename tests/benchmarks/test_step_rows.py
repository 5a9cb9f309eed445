"""Rows of the step's benchmark, and the peer beside them: which it is compared with, what is left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from fakes import ROOT

from benchmarks import find_peer, peer_terms, step, step_table, summary
from benchmarks.harness import BenchmarkError, read_json
from benchmarks.networks import METHODS, NETWORKS, Layer
from benchmarks.peer_modes import PEER_MODES
from gluon_nrm.layers.architecture import architecture_of
from gluon_nrm.models import get_architecture
from gluon_nrm.recipe.load import load_recipe
from gluon_nrm.system.processor import INSTRUCTIONS

Row = Dict[str, Any]


def row(
    mode: str, starts: Sequence[Sequence[float]], memory: float = 1.0, threads: int = 2, **more: Any
) -> Row:
    """A row of AllConv13 with NRM + RPN: of each start the seconds of its rounds."""
    names = {"network": "AllConv13", "method": "NRM + RPN", "mode": mode}
    measured = [
        ({"peak_memory_gb": memory}, [{"step_seconds": each, **more} for each in seconds])
        for seconds in starts
    ]
    return step_table.make_row(names, 16, threads, measured)


def test_a_row_has_the_medians_of_its_starts() -> None:
    """By hand: medians 3 and 3.5 of the starts, 3.25 of all; floors of 2 s, so 1.5 and 1.75 of them."""
    found = row("hybridised", [(3.0, 2.0, 4.0), (3.0, 3.5, 4.0)], 1.5, floor_seconds=2.0)
    assert found["seconds"] == 3.25 and found["floor_seconds"] == 2.0 and found["peak_memory_gb"] == 1.5
    assert found["step_over_floor_of_starts"] == [1.5, 1.75] and found["images_per_second"] == 16 / 3.25
    assert found["threads"] == 2 and found["network"] == "AllConv13"


def test_ours_is_compared_with_the_strongest_peer_of_its_precision() -> None:
    """float32 with the compiled one (4 and 5 s), bfloat16 with autocast (2 s), though that is the fastest."""
    ours, low = row("hybridised", [(3.0,), (3.5,)], 1.5), row(step_table.BFLOAT16, [(3.0,), (1.0,)])
    peers = [
        row("PyTorch, eager", [(4.5,), (6.0,)], 0.5),
        row("PyTorch, compiled, channels last", [(4.0,), (5.0,)], 1.25),
        row("PyTorch, autocast bfloat16", [(2.0,), (2.0,)], 2.0),
    ]
    rows = [ours, low, *peers]
    step_table.compare(rows)
    assert ours["over_peer_of_starts"] == [0.75, 0.7]
    assert ours["strongest_peer"] == "PyTorch, compiled, channels last" and ours["memory_over_peer"] == 1.2
    assert low["over_peer"] == 1.0 and low["strongest_peer"] == "PyTorch, autocast bfloat16"
    assert all(each["over_peer"] is None and each["strongest_peer"] is None for each in peers)
    lines = step_table.table(rows).splitlines()[2:]
    assert lines[0] == (
        "| NRM + RPN | hybridised | 2 | 3.25 | 3.00..3.50 | 4.92 | 1.50 |  |  "
        "| 0.72 (0.70..0.75), compiled, channels last | 1.20 |"
    )
    assert lines[2] == "| NRM + RPN | PyTorch, eager | 2 | 5.25 | 4.50..6.00 | 3.05 | 0.50 |  |  |  |  |"
    text = summary.table({"step": [ours]})
    assert "AllConv13, NRM + RPN, hybridised | 4.92 images/s, 1.50 GB, ours / strongest PyTorch 0.72" in text


def test_another_method_is_no_peer() -> None:
    other = {**row("PyTorch, eager", [(1.0,)]), "method": METHODS["nrm_rpn_maxmin_mt"].title}
    ours = row("hybridised", [(2.0,)])
    step_table.compare([ours, other])
    assert ours["over_peer"] is None and ours["memory_over_peer"] is None


def test_a_row_shows_its_better_number_of_threads() -> None:
    best = step_table.fastest([row("eager", [(0.03,)], threads=1), row("eager", [(0.04,)], threads=2)])
    assert best["threads"] == 1 and best["seconds_of_threads"] == {"1": 0.03, "2": 0.04}
    step_table.compare([best])
    assert "| eager | 1 | 0.0300 | 0.0300..0.0300 |" in step_table.table([best])


def test_numbers_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert step.thread_counts("allconv13") == [4] and step.thread_counts("lenet") == [1, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert step.thread_counts("lenet") == [1]


def test_rows_of_earlier_versions_are_shown() -> None:
    """They know no threads, and one peer."""
    rows = [each for each in read_json(ROOT / "results" / "step.json") if each["mode"] == "hybridised"]
    for each in rows:
        for name in ("network", "threads", "strongest_peer", "memory_over_peer"):
            each.pop(name, None)
    assert "| NRM + RPN | hybridised |  | " in step_table.table(rows)
    assert "| 0.88 (0.86..0.91), eager |" in step_table.table(rows)


def test_processes_of_a_method() -> None:
    found = step.commands("lenet", "nrm_rpn", step.MODES, "/a/python", ["compiled", "bfloat16"])
    assert list(found) == [
        "eager", "hybridised", "hybridised, bfloat16", "PyTorch, compiled", "PyTorch, autocast bfloat16",
    ]  # fmt: skip
    assert found["PyTorch, compiled"][0] == "/a/python" and found["eager"][0] == sys.executable
    own = step.commands("lenet", "nrm_rpn", ["eager"], None, [])
    assert list(own) == ["eager"]


def test_titles_of_the_modes() -> None:
    titles = [mode.title for mode in PEER_MODES.values()]
    assert titles[:3] == ["eager", "compiled", "compiled, channels last"]
    assert titles[3:5] == ["autocast bfloat16", "autocast bfloat16, compiled"]


def fake_python(folder: Path, prints: str) -> str:
    """Make a program that prints a line whatever it is asked, as a Python with PyTorch would."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho '{prints}'\n")
    program.chmod(0o755)
    return str(program)


def test_modes_that_cannot_run_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer = fake_python(tmp_path, '{"compiled": "torch.compile fails: no compiler"}')
    assert find_peer.usable_modes(peer, ["compiled", "eager"]) == ["eager"]
    assert capsys.readouterr().err == "no row for PyTorch, compiled: torch.compile fails: no compiler\n"


def test_without_instructions_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(INSTRUCTIONS, raising=False)
    monkeypatch.setattr(find_peer, "has_instructions", {"avx512_bf16"}.__contains__)
    assert find_peer.has_bfloat16()
    monkeypatch.setenv(INSTRUCTIONS, "AVX2")
    assert not find_peer.has_bfloat16()
    assert find_peer.without_bfloat16(list(PEER_MODES)) == ["eager", "compiled", "compiled_channels_last"]
    assert capsys.readouterr().err.startswith("no rows in bfloat16: the processor has no flag avx512_bf16")


def test_without_pytorch(tmp_path: Path) -> None:
    """No row for the peer, one line that says how to get it, and no failure."""
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    options = ("--only", "peer_terms", "--peer-python", str(bare), "--out", str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PEER_PYTHON": ""}
    command = [sys.executable, "-m", "benchmarks", *options]
    asked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert asked.returncode == 0, asked.stderr
    lines = asked.stderr.strip().splitlines()
    assert len(lines) == 1
    assert re.match(r"no row for PyTorch: .*pip install \"gluon_nrm\[peers\]\"", lines[0])
    assert read_json(tmp_path / "peer_terms.json") == []
    assert find_peer.find_peer(str(tmp_path / "nothing")) is None


def test_differences_of_terms() -> None:
    assert peer_terms.difference({"a": 1.0, "b": 1e-9}, {"a": 1.1, "b": 2e-9}) == pytest.approx(0.1 / 1.1)
    with pytest.raises(BenchmarkError, match="not in both: b"):
        peer_terms.difference({"a": 1.0, "b": 1.0}, {"a": 1.0})


@pytest.mark.parametrize("name", list(NETWORKS))
def test_layers_of_both_sides_are_the_same(name: str) -> None:
    measured = NETWORKS[name]
    ours = (
        get_architecture(measured.model) if measured.channels is None else architecture_of(measured.channels)
    )
    found = [Layer(each.channels, each.kernel, each.pad, each.pool == 2, each.dropout) for each in ours]
    assert found == list(measured.layers) and {each.pool for each in ours} == {1, 2}


def test_the_recipes_of_fashion_mnist_are_those_measured() -> None:
    for recipe_name, method in (("nrm_rpn", "nrm_rpn"), ("maxmin_mt", "nrm_rpn_maxmin_mt")):
        recipe = load_recipe(ROOT / "recipes" / f"fashion_mnist_{recipe_name}.yaml")
        measured = NETWORKS["fashion_mnist"]
        assert recipe.model.name == measured.model
        assert tuple(recipe.model.channels or ()) == measured.channels
        assert recipe.train.batch_labelled == recipe.train.batch_unlabelled == measured.batch
        assert (recipe.model.maxmin, recipe.teacher.enabled) == METHODS[method][1:]


def test_the_step_of_a_small_network() -> None:
    """Convolutions of a stream up and down, and the zero image's, as many as the network has layers."""
    from benchmarks.step_methods import build

    built = build("nrm_rpn", hybridised=False, network="fashion_mnist")
    batches = [call.data[0] for call in built.stream_calls]
    assert batches.count(32) >= 8 and len(built.shared_calls) == 4
    terms: List[Any] = built.step()
    assert len(terms) == 2
