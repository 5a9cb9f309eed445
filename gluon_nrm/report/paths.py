"""Statistics of the rendering paths of trained runs: counts, prior scores, margins; tables and a CSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.data import ImageSet, evaluation_batches
from gluon_nrm.errors import DataError, RunError
from gluon_nrm.probability.close_paths import CLOSE, ClosePaths, RenderedPaths, count_close, render_paths
from gluon_nrm.probability.margin import MarginBound, log_complexity, margin_bound, margins
from gluon_nrm.probability.path_counts import JOINT, LayerPaths, count_paths, joint_hashes
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.training.restore import Restored

#: Number of uniformly drawn paths of each class that the images' paths are compared with.
EVEN = 50


class PriorScores(NamedTuple):
    """Prior scores eta of paths, means over the images by their inferred classes."""

    #: of the images' own paths
    images: float
    #: of uniformly drawn paths of the same classes
    even: float
    #: of the images' own paths, in standard deviations above the uniform draws of their class
    above: float
    #: of the zero image's path, the prior's mode if the rendering is non-negative
    zero: float


class MixturePaths(NamedTuple):
    """Statistics of the Max-Min mixture: its path is a pair of paths, one of each branch."""

    #: distinct pairs
    active: int
    #: log2 of the number of all pairs
    log2_all: float
    #: margins of the mixed scores, of labelled training images and of test images, (N,) each
    train_margins: np.ndarray
    test_margins: np.ndarray
    #: with the larger R of the two branches
    bound: MarginBound


class RunPaths(NamedTuple):
    """Path statistics of one run, of the Max branch."""

    run: str
    recipe: str
    labels: Optional[int]
    seed: int
    layers: List[LayerPaths]
    scores: PriorScores
    #: of labelled training images and of test images, (N,) each
    train_margins: np.ndarray
    test_margins: np.ndarray
    bound: MarginBound
    close: ClosePaths
    #: None without a Min branch
    mixture: Optional[MixturePaths] = None

    @property
    def errors(self) -> Tuple[float, float]:
        """Errors of labelled and of test images, as shares; of the Max-Min mixture if there is one."""
        of = self.mixture or self
        return float((of.train_margins <= 0).mean()), float((of.test_margins <= 0).mean())

    @property
    def gap(self) -> float:
        """Measured generalisation gap: error of test images minus error of labelled training images."""
        return self.errors[1] - self.errors[0]


def study(restored: Restored, close: float = CLOSE) -> RunPaths:
    """Count the paths of a run's training images (validation part left out), and compute its margin bound.

    Args:
        restored: the run.
        close: largest distance of an active path's rendering from its image (see ``close_paths.py``).

    Raises:
        ModelError: the network does not render.
        DataError: there is no labelled image.
    """
    parts, recipe, device = restored.parts, restored.parts.recipe, restored.device
    model = RenderingModel(restored.network, device=device)
    if not len(parts.split.labelled):
        raise DataError(f"{restored.run.path}: no training image is labelled, so there is no margin")
    used = np.union1d(parts.split.labelled, parts.split.unlabelled)
    used = used[used < parts.dataset.training_images]  # those with a class
    images = parts.dataset.train.subset(used)
    with ProgressBar(len(used), restored.run.path.name, unit=" images") as progress:
        layers = count_paths(model, _batches(restored, images), progress)
    labelled = parts.dataset.train.subset(parts.split.labelled)
    train, test = (
        _margins(lambda x: model.posterior(x), restored, part) for part in (labelled, parts.dataset.test)
    )
    rendered = render_paths(model, _batches(restored, images))
    return RunPaths(
        restored.run.path.name, recipe.name, recipe.data.labels, recipe.train.seed, layers,
        _scores(model, restored, images), train, test,
        margin_bound(train, _complexity(model, layers[-1].active, rendered.radius)),
        count_close(rendered, close), _mixture(model, restored, images, labelled, rendered),
    )  # fmt: skip


def _complexity(model: RenderingModel, active: int, radius: float) -> float:
    smallest = float(np.exp(model.log_class_prior().min()))
    return log_complexity(model.net.classes, active, radius, smallest)


def _mixture(
    model: RenderingModel, restored: Restored, images: ImageSet, labelled: ImageSet, of_max: RenderedPaths
) -> Optional[MixturePaths]:
    """Count the pairs of paths of both branches, and compute the margins of the mixed scores."""
    if not model.net.options.maxmin:
        return None
    of_min = render_paths(
        RenderingModel(model.net, branch=1, device=model.device), _batches(restored, images)
    )
    active = len(np.unique(joint_hashes(np.stack([of_max.paths, of_min.paths], axis=1))))
    train, test = (
        _margins(lambda x: mx.nd.softmax(model.net(x).logits), restored, part)
        for part in (labelled, restored.parts.dataset.test)
    )
    complexity = _complexity(model, active, max(of_max.radius, of_min.radius))
    return MixturePaths(active, 2 * model.log2_paths, train, test, margin_bound(train, complexity))


def _batches(restored: Restored, images: ImageSet) -> Any:
    parts = restored.parts
    for batch in evaluation_batches(parts.dataset, images, min(parts.recipe.train.eval_batch, 100)):
        yield batch.images, batch.labels


def _margins(posterior: Callable[[Any], Any], restored: Restored, images: ImageSet) -> np.ndarray:
    """Compute the margins of images, (N,), from the class probabilities that ``posterior`` gives."""
    found = [
        margins(posterior(mx.nd.array(pixels, ctx=restored.device)).asnumpy(), labels)
        for pixels, labels in _batches(restored, images)
    ]
    return np.concatenate(found)


def _scores(model: RenderingModel, restored: Restored, images: ImageSet) -> PriorScores:
    classes = np.arange(model.net.classes)
    drawn = np.repeat(classes, EVEN)
    even = model.prior_score(drawn, model.even_path(len(drawn), np.random.default_rng(0))).asnumpy()
    mean, std = (statistic(even.reshape(-1, EVEN), axis=1) for statistic in (np.mean, np.std))
    zero = [mx.nd.repeat(map_, len(classes), axis=0) for map_ in model.zero_path()]
    at_zero = model.prior_score(classes, zero).asnumpy()
    rows = []
    for pixels, _ in _batches(restored, images):
        inferred = model.infer(mx.nd.array(pixels, ctx=model.device))
        label = inferred.label.asnumpy().astype(int)
        eta = model.prior_score(label, inferred.path).asnumpy()
        rows.append(np.stack([eta, mean[label], (eta - mean[label]) / std[label], at_zero[label]]))
    return PriorScores(*[float(value) for value in np.concatenate(rows, axis=1).mean(axis=1)])


def run_table(found: RunPaths) -> str:
    """Format a Markdown table, one line per layer and one for the joint path, with scores and bound."""
    lines = [
        f"{found.run}: {found.layers[-1].images} training images",
        "",
        "| layer | distinct paths | log2 of all | log2 ratio | a class's | share a path | across classes "
        "| entropy bound (bits) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found.layers:
        lines.append(
            f"| {each.layer} | {each.active} | {each.log2_all:.0f} | {each.log2_ratio:.1f} "
            f"| {each.active_per_class:.1f} | {each.sharing} | {each.across_classes} "
            f"| {each.entropy_bits:.1f} |"
        )
    scores, bound, close = found.scores, found.bound, found.close
    lines += [
        "",
        f"eta of the images' paths {scores.images:.2f}, {scores.above:+.2f} standard deviations from evenly "
        f"drawn ones ({scores.even:.2f}); of the zero image's {scores.zero:.2f}",
        f"active paths by distance: {close.active} distinct of {close.images} images whose rendering is "
        f"within {close.threshold:g} of the images' norm ({close.inferred} inferred for all; median distance "
        f"{close.median:.2f}); largest norm of a rendered image {close.radius:.2f}, of an image "
        f"{close.image_radius:.2f}",
        f"bound on P(error): {_describe_bound(bound)}",
        f"measured error: labelled {found.errors[0]:.3f}, test {found.errors[1]:.3f}; generalisation gap "
        f"{found.gap:.3f}",
    ]
    if found.mixture is not None:
        mixed = found.mixture
        lines.append(
            f"Max-Min mixture: {mixed.active} distinct pairs of paths, log2 of all {mixed.log2_all:.0f}; "
            f"margin <= 0.5 of {(mixed.train_margins <= 0.5).mean():.3f} labelled and "
            f"{(mixed.test_margins <= 0.5).mean():.3f} test images; bound "
            f"10^{mixed.bound.log_bound / np.log(10):.1f}" + (" (vacuous)" if mixed.bound.vacuous else "")
        )
    return "\n".join(lines)


def _describe_bound(bound: MarginBound) -> str:
    return (
        f"10^{bound.log_bound / np.log(10):.1f} at margin {bound.gamma:.2f} (empirical "
        f"part {bound.empirical:.3f}, complexity 10^{bound.log_complexity_term / np.log(10):.1f}, confidence "
        f"{bound.confidence:.2f})" + (": vacuous, it says nothing" if bound.vacuous else "")
    )


#: Columns of the comparison: title, value of a run, digits.
_COMPARED: Tuple[Tuple[str, Callable[[RunPaths], float], int], ...] = (
    ("distinct joint paths", lambda run: run.layers[-1].active, 1),
    ("entropy bound (bits)", lambda run: run.layers[-1].entropy_bits, 0),
    ("eta of images", lambda run: run.scores.images, 2),
    ("eta, even draws", lambda run: run.scores.even, 2),
    ("images above even (std)", lambda run: run.scores.above, 2),
    ("margin <= 0.5, labelled", lambda run: (run.train_margins <= 0.5).mean(), 3),
    ("margin <= 0.5, test", lambda run: (run.test_margins <= 0.5).mean(), 3),
    ("log10 of the bound", lambda run: run.bound.log_bound / np.log(10), 1),
    ("measured gap", lambda run: run.gap, 3),
    ("paths close to an image", lambda run: run.close.active, 1),
    ("R (rendered)", lambda run: run.close.radius, 2),
)


def comparison(runs: Sequence[RunPaths]) -> str:
    """Format a Markdown table, one line per recipe and number of labels: mean ± standard deviation."""
    groups: Dict[Tuple[str, Optional[int]], List[RunPaths]] = {}
    for run in runs:
        groups.setdefault((run.recipe, run.labels), []).append(run)
    lines = [
        "| recipe | labels | runs | " + " | ".join(title for title, _, _ in _COMPARED) + " |",
        "|---" * (3 + len(_COMPARED)) + "|",
    ]
    for (recipe, labels), members in groups.items():
        cells = []
        for _, value, digits in _COMPARED:
            values = np.array([value(run) for run in members], dtype=np.float64)
            spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.{digits}f}{spread}")
        lines.append(f"| {recipe} | {labels or 'all'} | {len(members)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_paths_csv(runs: Sequence[RunPaths], path: Path) -> None:
    """Write one line per run and layer; values of the whole run are in the line of the joint path.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer: Any = None
    for run in runs:
        for layer in run.layers:
            row: Dict[str, Any] = {"recipe": run.recipe, "labels": run.labels, "seed": run.seed}
            row.update(layer._asdict())
            for name, value in _of_the_whole(run).items():
                row[name] = value if layer.layer == JOINT else ""
            row["run"] = run.run
            if writer is None:
                writer = csv.DictWriter(text, fieldnames=list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(
                {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}
            )
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())


def _of_the_whole(run: RunPaths) -> Dict[str, Any]:
    return {
        **{f"eta_{name}": value for name, value in run.scores._asdict().items()},
        "labelled_margins_below_half": float((run.train_margins <= 0.5).mean()),
        "test_margins_below_half": float((run.test_margins <= 0.5).mean()),
        **{f"bound_{name}": value for name, value in run.bound._asdict().items()},
        **{f"close_{name}": value for name, value in run.close._asdict().items()},
        "labelled_error": run.errors[0],
        "test_error": run.errors[1],
        **_of_the_mixture(run.mixture),
    }


def _of_the_mixture(found: Optional[MixturePaths]) -> Dict[str, Any]:
    """Columns of the Max-Min mixture, empty without one."""
    names = ("active", "log2_all", "labelled_margins_below_half", "test_margins_below_half", "log_bound")
    values: Sequence[Any] = [""] * len(names)
    if found is not None:
        shares = [float((each <= 0.5).mean()) for each in (found.train_margins, found.test_margins)]
        values = [found.active, found.log2_all, *shares, found.bound.log_bound]
    return {f"mixture_{name}": value for name, value in zip(names, values)}
