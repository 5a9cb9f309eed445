"""Merging of sums in which an entry occurs more than once.

A Shake-Shake block computes x2 + g (x1 - x2). In inference g is 1/2, and (x1 + x2) / 2 is equal and needs one
product, which is then folded into the layers before it.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from gluon_nrm.export.graph.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.export.graph.shapes import Shape
from gluon_nrm.graph.node import Entry, Node

#: Operators that keep the order of the values.
RESHAPES = ("Flatten", "Reshape", "expand_dims", "reshape_like", "squeeze")
SUMS = ("add_n", "elemwise_add", "elemwise_sub")

#: Entries of a sum, all of one shape, and their weights.
Terms = Dict[Entry, float]


class Sum(NamedTuple):
    """An entry written as a weighted sum."""

    terms: Terms
    #: an entry occurred more than once
    merged: bool


def merge_mixtures(graph: InferenceGraph, shapes: Mapping[Entry, Shape]) -> InferenceGraph:
    """Rewrite sums in which an entry occurs more than once.

    Args:
        graph: of ``simplify``.
        shapes: shapes of its entries.
    """
    sums: Dict[Entry, Sum] = {}
    for index, node in enumerate(graph.nodes):
        sums[Entry(index)] = _summed(node, Entry(index), sums, shapes)

    def rule(builder: Builder, node: Node, inputs: List[Entry], index: int) -> Optional[Sequence[Entry]]:
        """Return one weighted sum for a sum with repeated terms; None for other nodes."""
        entry = Entry(index)
        if not sums[entry].merged:
            return None
        terms = sums[entry].terms
        made = _add(builder, node.name, {builder.moved[each]: weight for each, weight in terms.items()})
        if shapes[entry] != shapes[next(iter(terms))]:
            made = builder.add("Reshape", [made], f"{node.name}_shape", shape=(-1, *shapes[entry][1:]))
        return [made]

    return rewrite(graph, rule)


def _summed(node: Node, entry: Entry, sums: Mapping[Entry, Sum], shapes: Mapping[Entry, Shape]) -> Sum:
    parts = [sums.get(each, Sum({each: 1.0}, False)) for each in node.inputs]
    if node.op in RESHAPES:
        return parts[0]
    if node.op in ("_mul_scalar", "negative"):
        factor = float(node.get("scalar", 1.0)) if node.op == "_mul_scalar" else -1.0
        return Sum({each: factor * weight for each, weight in parts[0].terms.items()}, parts[0].merged)
    own = Sum({entry: 1.0}, False)
    if node.op not in SUMS or len({shapes[each] for part in parts for each in part.terms}) != 1:
        return own
    terms: Terms = {}
    for place, part in enumerate(parts):
        sign = -1.0 if node.op == "elemwise_sub" and place == 1 else 1.0
        for each, weight in part.terms.items():
            terms[each] = terms.get(each, 0.0) + sign * weight
    terms = {each: weight for each, weight in terms.items() if weight}
    if not terms or len(terms) == sum(len(part.terms) for part in parts):
        return Sum(terms, False) if terms else own
    return Sum(terms, True)


def _add(builder: Builder, name: str, terms: Terms) -> Entry:
    parts = [
        entry if weight == 1.0 else builder.add("_mul_scalar", [entry], f"{name}_part", scalar=weight)
        for entry, weight in terms.items()
    ]
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return builder.add("elemwise_add", parts, name)
    return builder.add("add_n", parts, name, num_args=len(parts))
