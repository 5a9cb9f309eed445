"""Sizes inside an ONNX file, past whose end onnxruntime reads, and of the scores that an export gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from linear_export import BACKENDS, Linear, needs_onnx, write_export

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.onnx_check import check_onnx
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.predict_options import PredictOptions


def short(tensor: Any) -> None:
    tensor.raw_data = tensor.raw_data[:2]


def longer(tensor: Any) -> None:
    tensor.raw_data += b"\0"


def huge(tensor: Any) -> None:
    tensor.dims[0] = 2**62


def negative(tensor: Any) -> None:
    tensor.dims[0] = -4


def another_type(tensor: Any) -> None:
    tensor.data_type = 99


def few_values(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.int64_data.extend([1, 2])


@needs_onnx
@pytest.mark.parametrize("change", [short, longer, huge, negative, another_type, few_values])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_tensor_of_another_size_is_refused(
    change: Callable[[Any], None], place: int, tmp_path: Path
) -> None:
    import onnx

    write_export(tmp_path / "net", Linear(), rendering=True)
    model = onnx.load(str(tmp_path / "net" / "net.onnx"))
    check_onnx(model.SerializeToString(), "net.onnx")
    change(model.graph.initializer[place])
    with pytest.raises(DeployError, match="net.onnx: it is not opened"):
        check_onnx(model.SerializeToString(), "net.onnx")


@needs_onnx
@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT32", "INT64", "UINT64", "BOOL", "FLOAT16"])
def test_values_in_any_field_are_counted(kind: str) -> None:
    import onnx
    from onnx import helper

    values = [0, 1, 1, 0, 1, 1]
    tensor = helper.make_tensor("t", getattr(onnx.TensorProto, kind), [2, 3], values)
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    check_onnx(model.SerializeToString(), "net.onnx")
    model.graph.node[0].attribute[0].t.dims[0] = 3
    with pytest.raises(DeployError):
        check_onnx(model.SerializeToString(), "net.onnx")


@needs_onnx
@pytest.mark.parametrize("operator", ["ConstantOfShape", "Tile", "EyeLike"])
def test_operators_that_make_any_amount_are_refused(operator: str) -> None:
    from onnx import helper

    model = helper.make_model(helper.make_graph([helper.make_node(operator, ["n"], ["x"])], "g", [], []))
    with pytest.raises(DeployError, match="data of any size"):
        check_onnx(model.SerializeToString(), "net.onnx")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c"], list("abcdefgh")])
def test_as_many_scores_as_classes(backend: Any, names: Any, tmp_path: Path) -> None:
    write_export(tmp_path / "net", Linear(), class_names=names)
    classifier = open_classifier(tmp_path / "net", PredictOptions(backend=backend))
    with pytest.raises(DeployError, match=f"scores of shape .* {len(names)} classes"):
        classifier.predict(np.zeros((2, 3, 4, 5), np.float32))
