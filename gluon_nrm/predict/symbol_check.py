"""Check of NAME-symbol.json before MXNet reads it.

MXNet trusts a symbol: a wrong number in it may end the process or have it reserve all memory, and some
operators read files or run code. So the graph is checked here: its structure, its operators and their
arguments; ``check_size`` bounds the memory that it takes.
"""

from __future__ import annotations

import ast
import json
from typing import Any, Dict, List, Mapping, Sequence

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.symbol_operators import (
    MERGED,
    MOST_AXES,
    OPERATORS,
    Operator,
    check_argument,
    outputs_of,
)

#: Limits above those of any export: bytes of the file, nodes, length of a parameter's axis.
MOST_BYTES, MOST_NODES, LONGEST_AXIS = 2**25, 50_000, 2**31 - 1
GRAPH = frozenset({"nodes", "arg_nodes", "node_row_ptr", "heads", "attrs"})
NODE = frozenset({"op", "name", "attrs", "inputs", "subgraphs"})
INITIALISERS = ('["one", {}]', '["zero", {}]')
TYPES = ("0", "3", "4", "5")


class _DamageError(Exception):
    """The graph is none of an export; the message names the reason."""


def check_symbol(data: bytes, where: str) -> str:
    """Check the bytes of a symbol's file and return its text.

    Args:
        data: the whole file.
        where: how messages name it.

    Raises:
        DeployError: it is damaged, or holds an operator or an argument that no export has.
    """
    try:
        if len(data) > MOST_BYTES:
            raise _DamageError(f"it has more than {MOST_BYTES} bytes")
        text = data.decode("utf-8")
        if "\0" in text:
            raise _DamageError("it holds a zero byte")
        _check_graph(json.loads(text, object_pairs_hook=_once), False)
    except (_DamageError, ValueError, RecursionError) as problem:
        reason = str(problem) or type(problem).__name__
        raise DeployError(f"{where}: MXNet cannot read it ({reason}); export the run again") from None
    return text


def _once(pairs: Sequence[Any]) -> Dict[str, Any]:
    found = dict(pairs)
    _expect(len(found) == len(pairs), "a key is there twice")
    return found


def _expect(right: bool, message: str) -> None:
    if not right:
        raise _DamageError(message)


def _check_graph(graph: Any, merged: bool) -> None:
    """Check a graph; ``merged``: the graph is inside an int8 node."""
    _expect(isinstance(graph, dict) and set(graph) <= GRAPH and GRAPH - {"attrs"} <= set(graph),
            f"it is no graph with {', '.join(sorted(GRAPH))}")  # fmt: skip
    nodes = graph["nodes"]
    _expect(isinstance(nodes, list) and 0 < len(nodes) <= MOST_NODES, "it has no nodes, or too many")
    outputs: List[int] = []
    for place, node in enumerate(nodes):
        outputs.append(_check_node(node, place, outputs, merged))
    names = [node["name"] for node in nodes]
    _expect(len(set(names)) == len(names), "two nodes have one name")
    variables = [place for place, node in enumerate(nodes) if node["op"] == "null"]
    _expect(graph["arg_nodes"] == variables, "arg_nodes are not its variables")
    _expect(isinstance(graph["heads"], list) and bool(graph["heads"]), "it has no outputs")
    for entry in graph["heads"]:
        _check_entry(entry, outputs, "an output of the graph")
    rows = graph["node_row_ptr"]
    _expect(
        isinstance(rows, list) and len(rows) == len(nodes) + 1 and all(map(_is_count, rows))
        and rows == sorted(rows) and rows[0] == 0 and rows[-1] <= sum(outputs) + 3 * len(nodes),
        "node_row_ptr does not fit the nodes",
    )  # fmt: skip
    _check_version(graph.get("attrs"), merged)


def _check_version(attrs: Any, merged: bool) -> None:
    if attrs is None and merged:
        return
    version = attrs.get("mxnet_version") if isinstance(attrs, dict) and len(attrs) == 1 else None
    # graphs of older versions are rewritten while they are read
    right = (
        isinstance(version, list) and len(version) == 2 and version[0] == "int" and _is_count(version[1])
        and 10900 <= version[1] < 20000
    )  # fmt: skip
    _expect(right, "it is not of MXNet 1.9")


def _check_node(node: Any, place: int, outputs: Sequence[int], merged: bool) -> int:
    """Check a node, whose inputs must come before it, and return its number of outputs."""
    _expect(isinstance(node, dict) and NODE >= set(node) >= {"op", "name", "inputs"}, f"node {place} is none")
    op, name, attrs = node["op"], node["name"], node.get("attrs", {})
    _expect(isinstance(op, str) and isinstance(name, str) and isinstance(node["inputs"], list),
            f"node {place} has no operator, name or inputs")  # fmt: skip
    shown = f"node {name[:80]!r}"
    texts = isinstance(attrs, dict) and all(isinstance(text, str) for text in attrs.values())
    _expect(texts, f"{shown} has arguments that are no strings")
    for entry in node["inputs"]:
        _check_entry(entry, outputs, shown)
    if op == "null":
        _expect(not node["inputs"] and "subgraphs" not in node, f"{shown} is a variable that reads")
        _check_variable(attrs, shown)
        return 1
    found = OPERATORS.get(op) or (None if merged else MERGED.get(op))
    if found is None:
        raise _DamageError(f"{shown} has the operator {op[:80]!r}, which no export has")
    _check_inputs(found, node, shown)
    _check_merged(node, op, shown)
    try:
        for key, text in attrs.items():
            _expect(not key.startswith("__"), f"{shown} has {key[:40]!r}, which is for variables")
            shown_key = f"{shown}: {key[:40]}"
            _check_argument(key, text, shown_key)
        return outputs_of(op, attrs)
    except ValueError as problem:
        raise _DamageError(f"{shown} {problem}") from None


def _check_argument(key: str, text: str, shown: str) -> None:
    try:
        check_argument(key, text)
    except ValueError as problem:
        raise _DamageError(f"{shown} {problem}") from None


def _check_inputs(operator: Operator, node: Mapping[str, Any], shown: str) -> None:
    inputs = len(node["inputs"])
    possible = f"{operator.least} to {operator.most}"
    _expect(operator.least <= inputs <= operator.most,
            f"{shown} reads {inputs} others, where {possible} are possible")  # fmt: skip
    counted = node.get("attrs", {}).get("num_args", str(inputs))
    _expect(counted == str(inputs), f"{shown} reads {inputs} others and says {counted[:20]}")


def _check_merged(node: Mapping[str, Any], op: str, shown: str) -> None:
    graphs = node.get("subgraphs", [])
    wanted = int(op in MERGED)
    _expect(isinstance(graphs, list) and len(graphs) == wanted, f"{shown} should have {wanted} graphs in it")
    for graph in graphs:
        _check_graph(graph, True)


def _check_entry(entry: Any, outputs: Sequence[int], shown: str) -> None:
    """Check the index of an input's node, of its output, and its version."""
    right = isinstance(entry, list) and len(entry) in (2, 3) and all(map(_is_count, entry))
    _expect(right and entry[0] < len(outputs) and entry[1] < outputs[entry[0]] and entry[-1] < MOST_NODES,
            f"{shown} reads what is not before it")  # fmt: skip


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_variable(attrs: Mapping[str, str], shown: str) -> None:
    for key, text in attrs.items():
        right = {"__dtype__": text in TYPES, "__init__": text in INITIALISERS,
                 "__shape__": _is_shape(text), "__storage_type__": text == "0"}  # fmt: skip
        _expect(right.get(key, False), f"{shown} has {key[:40]} {text[:80]!r}, which no export has")


def _is_shape(text: str) -> bool:
    try:
        shape = ast.literal_eval(text) if len(text) < 200 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(shape, tuple) and len(shape) <= MOST_AXES and all(
        _is_count(length) and length <= LONGEST_AXIS for length in shape
    )  # fmt: skip
