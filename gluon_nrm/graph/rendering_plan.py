"""The plan of a traced network's rendering pass: its nodes, latents, features, biases and matched layers."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from gluon_nrm.graph import operators
from gluon_nrm.graph.branches import NUMBERS_ADDED, Branches
from gluon_nrm.graph.latents import RECTIFIERS, has_constants, has_latents
from gluon_nrm.graph.node import Entry, Graph
from gluon_nrm.graph.transpose import Shape, Site
from gluon_nrm.graph.transpose_checks import check

#: Operators allowed between a convolution and its rectifier.
AFFINE = operators.NORMS | operators.SUMS | {"Cast", "Dropout", "_copy", "_plus_scalar", "_minus_scalar"}
#: Operators of a layer behind its rectifier: pooling and dropout.
POOLS = frozenset({"Dropout", "Pooling", "_contrib_AdaptiveAvgPooling2D"})


class NodeBias(NamedTuple):
    """A bias b(l) that inference adds at a node; the prior score weighs the rendering there by it."""

    node: int
    #: index of the input that holds it; None for a number
    place: Optional[int]
    #: True if it is subtracted
    subtracted: bool
    #: True if a normalisation follows, which removes it
    redundant: bool


class MatchedConvolution(NamedTuple):
    """A convolution whose output moment matching compares with a rendering."""

    convolution: int
    #: number of the feature that it is compared with; None: the rendering onto the convolution's own output
    feature: Optional[int]


class RenderingPlan(NamedTuple):
    """The plan of a graph's rendering pass; nodes are given by their index."""

    branches: Branches
    #: nodes that are rendered through
    sites: Dict[int, Site]
    #: rectifiers and max-poolings, which have latents, in order
    latents: Tuple[int, ...]
    #: norms and products, whose constants rendering needs, in order
    frozen: Tuple[int, ...]
    #: features h(l), from the image upwards: the output of each rectifier, after the pooling and dropout that
    #: only it feeds; rendering norms are applied there
    features: Tuple[Entry, ...]
    #: shape of each feature, (1, C, H, W) or (1, C)
    shapes: Tuple[Shape, ...]
    pairs: Tuple[MatchedConvolution, ...]
    biases: Tuple[NodeBias, ...]
    #: the classifier's bias, log pi_y, if it is added to the class scores
    class_bias: Optional[NodeBias]

    @property
    def recorded(self) -> Tuple[int, ...]:
        """Nodes whose latents or constants inference records."""
        return self.latents + self.frozen


def plan_rendering(branches: Branches, shapes: Mapping[Entry, Shape]) -> RenderingPlan:
    """Plan the rendering pass of a graph whose shapes are known.

    Raises:
        ModelError: a node cannot be rendered through; the message names it.
    """
    graph, through = branches.graph, _rendered_through(branches)
    sites = {
        index: Site(
            node, [shapes[entry] for entry in node.inputs], shapes[Entry(index)],
            [branches.signal[entry.node] for entry in operators.values_read(node)],
        )
        for index, node in enumerate(graph.nodes)
        if index in through
    }  # fmt: skip
    for site in sites.values():
        check(site)
    readers = graph.consumers()
    top = _above_all_weights(graph, readers)
    found = {
        index: _feature(graph, readers, index)
        for index, site in sites.items()
        if site.node.op in RECTIFIERS and index not in top
    }
    features = tuple(dict.fromkeys(found.values()))
    places = {rectifier: features.index(entry) for rectifier, entry in found.items()}
    biases = _biases(branches, sites, readers)
    class_bias = next((bias for bias in biases if _ends_in_scores(graph, readers, bias.node)), None)
    return RenderingPlan(
        branches, sites, tuple(index for index, site in sites.items() if has_latents(site)),
        tuple(index for index, site in sites.items() if has_constants(site)), features,
        tuple(shapes[entry] for entry in features), _pairs(graph, sites, readers, places, top),
        tuple(bias for bias in biases if bias != class_bias), class_bias,
    )  # fmt: skip


def _rendered_through(branches: Branches) -> Set[int]:
    """Nodes on a path from the image to the class scores."""
    graph = branches.graph
    found: Set[int] = set()
    pending = [graph.output.node]
    while pending:
        index = pending.pop()
        if index in found or index == graph.image or not branches.signal[index]:
            continue
        found.add(index)
        pending += [entry.node for entry in operators.values_read(graph.nodes[index])]
    return found


def _above_all_weights(graph: Graph, readers: Mapping[Entry, Tuple[int, ...]]) -> Set[int]:
    """Nodes with no layer with weights between them and the output."""
    top: Set[int] = set()
    for index in reversed(range(len(graph.nodes))):
        after = [reader for entry, nodes in readers.items() if entry.node == index for reader in nodes]
        if all(reader in top and graph.nodes[reader].op not in operators.WEIGHTED for reader in after):
            top.add(index)
    return top


def _feature(graph: Graph, readers: Mapping[Entry, Tuple[int, ...]], rectifier: int) -> Entry:
    entry = Entry(rectifier)
    while len(readers.get(entry, ())) == 1 and graph.nodes[readers[entry][0]].op in POOLS:
        entry = Entry(readers[entry][0])
    return entry


def _pairs(
    graph: Graph,
    sites: Mapping[int, Site],
    readers: Mapping[Entry, Tuple[int, ...]],
    places: Mapping[int, int],
    top: Set[int],
) -> Tuple[MatchedConvolution, ...]:
    """Match each convolution with its rectifier's feature, or with None (in a dense block)."""
    pairs = []
    for index, site in sites.items():
        if site.node.op != "Convolution" or index in top:
            continue
        rectifier = _rectifier(graph, readers, index)
        if rectifier is None:
            pairs.append(MatchedConvolution(index, None))
        elif rectifier in places:
            pairs.append(MatchedConvolution(index, places[rectifier]))
    return tuple(pairs)


def _rectifier(graph: Graph, readers: Mapping[Entry, Tuple[int, ...]], index: int) -> Optional[int]:
    """Find the first rectifier that a node's output reaches through sums and norms alone."""
    pending, seen = [index], {index}
    while pending:
        after = readers.get(Entry(pending.pop(0)), ())
        rectifiers = [reader for reader in after if graph.nodes[reader].op in RECTIFIERS]
        if rectifiers:
            return rectifiers[0]
        pending += [reader for reader in after if graph.nodes[reader].op in AFFINE and reader not in seen]
        seen.update(after)
    return None


def _biases(
    branches: Branches, sites: Mapping[int, Site], readers: Mapping[Entry, Tuple[int, ...]]
) -> List[NodeBias]:
    found = []
    for index, site in sites.items():
        after = readers.get(Entry(index), ())
        redundant = bool(after) and all(
            branches.graph.nodes[reader].op in operators.NORMS for reader in after
        )
        if site.node.op in NUMBERS_ADDED:
            found.append(NodeBias(index, None, site.node.op == "_minus_scalar", redundant))
        for place in _bias_places(site):
            subtracted = place == 1 and site.node.op in ("broadcast_sub", "elemwise_sub")
            found.append(NodeBias(index, place, subtracted, redundant))
    return found


def _bias_places(site: Site) -> List[int]:
    if site.node.op in operators.SUMS:
        return [place for place, depends in enumerate(site.signal) if not depends]
    if site.node.op == "BatchNorm" or (site.node.op in operators.WEIGHTED and len(site.inputs) > 2):
        return [2]
    return []


def _ends_in_scores(graph: Graph, readers: Mapping[Entry, Tuple[int, ...]], index: int) -> bool:
    """True if a node's output is the class scores, apart from their shape."""
    while index != graph.output.node:
        after = readers.get(Entry(index), ())
        if len(after) != 1 or graph.nodes[after[0]].op not in ("Flatten", "Reshape"):
            return False
        index = after[0]
    return True
