"""Sums in which the same features occur more than once, written with each of them once.

A Shake-Shake block computes x2 + g (x1 - x2), flattened; in inference g is 1/2, and half the sum of x1 and x2
is the same with one product less, which then goes into the layers before it.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from gluon_nrm.export.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.export.shapes import Shape
from gluon_nrm.graph.node import Entry, Node

#: Values stay in their order.
RESHAPES = ("Flatten", "Reshape", "expand_dims", "reshape_like", "squeeze")
SUMS = ("add_n", "elemwise_add", "elemwise_sub")

#: How often each entry is in a sum; all are of one shape.
Terms = Dict[Entry, float]


class Sum(NamedTuple):
    """An entry as a sum."""

    terms: Terms
    #: whether it was summed from more summands than it has terms
    merged: bool


def merge_mixtures(graph: InferenceGraph, shapes: Mapping[Entry, Shape]) -> InferenceGraph:
    """Write every sum in which an entry occurs again with each entry once.

    Args:
        graph: simplified.
        shapes: of its entries.
    """
    sums: Dict[Entry, Sum] = {}
    for index, node in enumerate(graph.nodes):
        sums[Entry(index)] = _summed(node, Entry(index), sums, shapes)

    def rule(builder: Builder, node: Node, inputs: List[Entry], index: int) -> Optional[Sequence[Entry]]:
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
