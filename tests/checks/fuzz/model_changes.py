"""Changes of exported networks that their parsers still read: ONNX messages and MXNet's parameter files."""

from __future__ import annotations

import random
import struct
from typing import Any, Callable, List

from fuzz import byte_changes
from fuzz.byte_changes import BOUNDARIES

#: ONNX dimensions that no network has.
LENGTHS = (0, -1, 1, 3, 2**31 - 1, 2**40, 2**63 - 1, -(2**63))


def change_onnx(rng: random.Random, data: bytes) -> bytes:
    """Change a field of the message, or a byte of the file."""
    import onnx

    if rng.random() < 0.3:
        return byte_changes.change(rng, data)
    try:
        model = onnx.load_model_from_string(data)
        for _ in range(rng.choice((1, 1, 2))):
            rng.choice(ONNX_CHANGES)(rng, model)
        return model.SerializeToString()
    except Exception:  # bytes that were changed before, or a message that lacks what is to be changed
        return byte_changes.change(rng, data)


def _tensor(rng: random.Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    what = rng.randrange(5)
    if what == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(LENGTHS)
    elif what == 1:
        tensor.data_type = rng.choice((0, 1, 2, 7, 8, 10, 11, 16, 99))
    elif what == 2:
        tensor.raw_data = byte_changes.change(rng, tensor.raw_data)
    elif what == 3:
        tensor.data_location = 1
        for key, value in (
            (
                "location",
                rng.choice(("/etc/passwd", "../x", "net.onnx", "model.json", "/dev/zero", "nowhere", "")),
            ),
            ("offset", str(rng.choice(BOUNDARIES))),
            ("length", str(rng.choice(BOUNDARIES))),
        ):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        tensor.ClearField("raw_data")
    else:
        tensor.name = rng.choice(("", "data", "x", "a\nb", "\x1b[31m"))


def _node(rng: random.Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    what = rng.randrange(5)
    if what == 0:
        node.op_type = rng.choice(
            ("Gemm", "Conv", "Loop", "If", "Expand", "ConstantOfShape", "Tile", "Nothing", "\n", "")
        )
    elif what == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "data", "logits", "nowhere", "weight"))
    elif what == 2 and node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(("", "data", "logits", "x"))
    elif what == 3 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice(BOUNDARIES[:-1])
        for place in range(len(attribute.ints)):
            attribute.ints[place] = rng.choice(LENGTHS)
    else:
        node.domain = rng.choice(("ai.onnx.ml", "com.microsoft", "x\ny"))


def _value(rng: random.Random, model: Any) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    if rng.random() < 0.3:
        value.name = rng.choice(("", "x", "a\nb", "\x1b[0m"))
    else:
        shape = value.type.tensor_type.shape
        shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice(LENGTHS)


def _whole(rng: random.Random, model: Any) -> None:
    what = rng.randrange(5)
    if what == 0:
        model.ir_version = rng.choice((0, 1, 99, 2**40))
    elif what == 1:
        model.opset_import[0].version = rng.choice((0, 1, 7, 999, 2**40, -1))
    elif what == 2:
        model.graph.node.add().CopyFrom(rng.choice(model.graph.node))
    elif what == 3:
        del model.graph.node[rng.randrange(len(model.graph.node))]
    else:  # a huge value that the graph itself makes
        import onnx
        from onnx import helper

        shape = helper.make_tensor("huge", onnx.TensorProto.INT64, [1], [rng.choice((2**30, 2**36, 2**62))])
        model.graph.initializer.append(shape)
        model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["filled"]))
        if rng.random() < 0.5:
            model.graph.node.append(helper.make_node("ReduceSum", ["filled"], ["total"]))
            model.graph.output.append(helper.make_tensor_value_info("total", onnx.TensorProto.FLOAT, [1]))


ONNX_CHANGES: List[Callable[[random.Random, Any], None]] = [_tensor, _tensor, _node, _node, _value, _whole]


def change_params(rng: random.Random, data: bytes) -> bytes:
    """Set a 32 or 64-bit field, aligned to 4 bytes: a count, magic number, dimension, type or length."""
    if rng.random() < 0.4:
        return byte_changes.change(rng, data)
    form = rng.choice("IQ")
    size = struct.calcsize(f"<{form}")
    # headers lie at the beginning and, with the names, at the end
    spot = rng.randrange(30) * 4
    at = spot if rng.random() < 0.7 else len(data) - spot - size
    if not 0 <= at <= len(data) - size:
        return byte_changes.change(rng, data)
    value = rng.choice((*BOUNDARIES, *range(12))) & (2 ** (8 * size) - 1)
    return data[:at] + struct.pack(f"<{form}", value) + data[at + size :]
