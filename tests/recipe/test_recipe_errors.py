"""Every mistake in a recipe or an override is a RecipeError of one or two lines that names the culprit."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, NamedTuple, Tuple

import pytest

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe import load_recipe, recipe_from_text

BASE = """\
# a small recipe
data:
  name: digits
  labels: 50
model: {name: digits_cnn}
loss:
  weights: {cross_entropy: 1, consistency: 0}
optimiser:
  phases:
    - name: adam
      lr: 1e-3
train:
  epochs: 40
  batch_labelled: 32
"""


class Case(NamedTuple):
    """A recipe and overrides that do not go, how the message starts, and what else it holds."""

    name: str
    text: str
    overrides: Tuple[str, ...]
    start: str
    expected: Tuple[str, ...]


def edit(name: str, line: int, new: str, *expected: str, at: int = 0, also: str = "") -> Case:
    """BASE with one line replaced; the message starts with line ``at``, or else the one replaced."""
    lines = BASE.splitlines()
    lines[line - 1] = new
    overrides = (also,) if also else ()
    return Case(name, "\n".join(lines) + "\n", overrides, f"r.yaml:{at or line}: {expected[0]}", expected[1:])


def more(name: str, new: str, *expected: str, at: int) -> Case:
    """BASE with lines added after line 11: keys of the phase where indented, else a section."""
    return edit(name, 11, "      lr: 1e-3\n" + new, *expected, at=at)


def teacher(name: str, keys: str, *expected: str, also: str = "") -> Case:
    """BASE with a teacher, without dropout; the message starts with the teacher's line."""
    case = more(name, f"teacher: {{enabled: true, {keys}}}", *expected, at=12)
    text = case.text.replace("{name: digits_cnn}", "{name: digits_cnn, dropout: 0}")
    overrides = (also,) if also else ()
    return case._replace(text=text.replace("consistency: 0", "consistency: 33"), overrides=overrides)


def text(name: str, whole: str, *expected: str) -> Case:
    """Another text in place of BASE; the message starts with the first of what is expected."""
    return Case(name, whole, (), expected[0], expected[1:])


def given(name: str, override: str, *expected: str, also: str = "") -> Case:
    """BASE with an override at fault, and another beside it."""
    overrides = (override, also) if also else (override,)
    return Case(name, BASE, overrides, f"overrides {override}: ", expected)


CASES: List[Case] = [
    # keys
    edit("mistyped key", 4, "  lables: 50", "data.lables", "value 50", "did you mean 'labels'?"),
    edit("key in capitals", 4, "  LABELS: 50", "data.LABELS", "did you mean 'labels'?"),
    edit("mistyped section", 12, "trian:", "trian", "did you mean 'train'?"),
    edit("key of another section", 4, "  epochs: 7", "data.epochs", "value 7", "'train.epochs'"),
    more("key outside its section", "seed: 3", "seed", "value 3", "'train.seed'", at=12),
    more("dotted key", "data.shift: 1", "data.shift", "'shift' inside 'data'", at=12),
    edit("mistyped key in a list", 11, "      rl: 1e-3", "optimiser.phases.0.rl", "1e-3", "name, lr,"),
    edit("unlike any key", 4, "  zzz: 50", "data.zzz", "valid here: name, labels"),
    edit("key given twice", 4, "  labels: 50\n  labels: 60", "data.labels", "60", "r.yaml:4", "50", at=5),
    more("section given twice", "data: {name: x}", "data", "twice", "r.yaml:2", at=12),
    edit("required key missing", 13, "  # left out", "train.epochs", "required", "add 'epochs: ...'", at=12),
    edit("required phase key", 11, "  # left out", "optimiser.phases.0.lr", "required", "a number", at=10),
    text(
        "section missing",
        BASE.replace("model:", "# model:"),
        "r.yaml: model",
        "section is missing",
        "needs name",
    ),
    edit("a list as a key", 4, "  ? [a, b]\n  : 50", "data", "a key must be a single word"),
    edit("section in a section", 4, "  model: x", "data.model", "value x", "did you mean 'model'?"),
    edit("merge key", 4, "  <<: {labels: 50}", "data.<<", "unknown key"),
    # types
    edit("string for an integer", 4, "  labels: fifty", "data.labels", "integer or null", "fifty"),
    edit("quoted number", 4, "  labels: '50'", "data.labels", "found '50'", "remove the quotes"),
    edit("fraction for an integer", 13, "  epochs: 4e1", "train.epochs", "4e1", "write 40"),
    edit("quoted string", 4, "  labels: 'fifty'", "data.labels", "integer or null, found 'fifty'"),
    edit("huge fraction", 13, "  epochs: 1e300", "train.epochs", "integer, found 1e300"),
    edit("leading zero", 13, "  epochs: 040", "train.epochs", "integer", "040"),
    edit("underscored number", 13, "  epochs: 1_000", "train.epochs", "1_000"),
    edit("sexagesimal number", 13, "  epochs: 1:30", "train.epochs", "1:30"),
    edit("boolean for a number", 11, "      lr: true", "optimiser.phases.0.lr", "a number", "true"),
    edit("yes for a boolean", 4, "  mirror: yes", "data.mirror", "a boolean", "yes", "write true"),
    edit("off for a boolean", 4, "  mirror: Off", "data.mirror", "Off", "write false"),
    edit("1 for a boolean", 4, "  mirror: 1", "data.mirror", "a boolean", "found 1; write true"),
    edit("null for a number", 13, "  epochs: null", "train.epochs", "integer", "null"),
    edit("none for null", 4, "  labels: none", "data.labels", "none", "empty value is null"),
    edit("no value", 4, "  labels:", "data.labels", "no value", "write null"),
    edit("number for a string", 3, "  name: 10", "data.name", "a string", '"10"'),
    edit("scalar for a section", 5, "model: digits_cnn", "model", "digits_cnn", "name,"),
    edit("list for a section", 5, "model: [digits_cnn]", "model", "a list"),
    edit("mapping for a number", 13, "  epochs: {a: 1}", "train.epochs", "a mapping"),
    text(
        "mapping for a list",
        BASE.replace("    - name: adam\n  ", "    name: adam\n"),
        "r.yaml:9: optimiser.phases",
        "expected a list",
    ),
    text(
        "scalar for a phase",
        BASE.replace("- name: adam\n      lr: 1e-3", "- adam"),
        "r.yaml:10: optimiser.phases.0",
        "adam",
        "lr",
    ),
    edit("channels of another kind", 5, "model: {name: x, channels: [32, 0.5]}", "model.channels.1", "0.5"),
    # limits
    edit(
        "no choice",
        5,
        "model: {name: x, path_norm: layerwize}",
        "model.path_norm",
        "layerwize",
        "'layerwise'?",
    ),
    edit("no layer", 5, "model: {name: x, channels: [32, pol]}", "model.channels.1", "'pol'", "'pool'?"),
    edit(
        "no feature maps", 5, "model: {name: x, channels: [0]}", "model.channels.0", "at least 1", "found 0"
    ),
    edit("below its range", 13, "  epochs: 0", "train.epochs", "at least 1", "found 0"),
    edit("end of an open range", 5, "model: {name: x, slope: 1}", "model.slope", "below 1", "found 1.0"),
    edit("learning rate of 0", 11, "      lr: 0", "optimiser.phases.0.lr", "above 0", "found 0.0"),
    edit("not a number", 11, "      lr: .nan", "optimiser.phases.0.lr", "finite", "nan"),
    edit("infinite", 11, "      lr: .inf", "optimiser.phases.0.lr", "finite", "inf"),
    edit("infinite by its size", 11, "      lr: 1e999", "optimiser.phases.0.lr", "finite", "inf"),
    edit("endless number", 13, "  epochs: " + "9" * 5000, "train.epochs", "too large", "999..."),
    edit("seed too large", 13, "  epochs: 4\n  seed: 2147483648", "train.seed", "at most 2147483647", at=14),
    more("name unfit for a folder", "name: ../x", "name", "'../x'", "letters", at=12),
    edit("blank name", 3, "  name: ' '", "data.name", "empty"),
    # rules between keys
    edit("shares", 5, "model: {name: x, alpha_max: 0.7}", "model.alpha_max", "0.7 + 0.5", "must be 1"),
    edit(
        "mode with norms", 5, "model: {name: x, path_norm: mode}", "model.path_norm", "render_norm", "'batch'"
    ),
    edit(
        "pools alone", 5, "model: {name: x, channels: [pool]}", "model.channels", "at least one convolution"
    ),
    edit("no channels", 5, "model: {name: x, channels: []}", "model.channels", "at least one convolution"),
    edit(
        "no teacher",
        7,
        "  weights: {cross_entropy: 1, consistency: 33}",
        "loss.weights.consistency",
        "33",
        "teacher.enabled",
    ),
    edit("no decoder", 7, "  weights: {denoising: 1}", "loss.weights.denoising", "no decoder", "ladder_*"),
    edit(
        "decoder of none", 5, "model: {name: x, denoising: [1]}", "model.denoising", "ladder_*", "not for x"
    ),
    edit(
        "negative cost",
        5,
        "model: {name: ladder_x, denoising: [1, -2]}",
        "model.denoising.1",
        "-2",
        "at least 0",
    ),
    more("idle teacher", "teacher: {enabled: true}", "teacher.enabled", "loss.weights.consist", at=12),
    edit("prior without bias", 5, "model: {name: x, bias: false}", "model.path_norm", "'layerwise'", "none"),
    edit(
        "bias on and off",
        5,
        "model: {name: x, bias: false, path_norm: none, released_bias: true}",
        "model.released_bias",
        "model.bias",
    ),
    teacher("pi without noise", "method: pi", "teacher.method", "dropout above 0", "augment"),
    teacher("pi sees the same", "method: pi", "teacher.method", "independent", also="data.shift=2"),
    teacher("no noise in time", "method: temporal_ensembling", "teacher.method", "dropout above 0"),
    teacher(
        "second draw",
        "method: temporal_ensembling, augmentation: independent",
        "teacher.augmentation",
        "earlier",
    ),
    teacher("late decay of none", "method: pi, late_decay: 0.9", "teacher.late_decay", "mean_teacher"),
    edit(
        "nothing to learn",
        7,
        "  weights: {cross_entropy: 0, consistency: 0}",
        "loss.weights",
        "all are 0",
        "cross_entropy",
    ),
    edit(
        "no unlabelled images",
        13,
        "  epochs: 40\n  batch_unlabelled: 32",
        "train.batch_unlabelled",
        "data.labels null",
        "32",
        at=14,
        also="data.labels=null",
    ),
    text(
        "no phases",
        BASE.replace("phases:\n    - name: adam\n      lr: 1e-3", "phases: []"),
        "r.yaml:9: optimiser.phases",
        "at least one",
    ),
    more("open phase", "    - {name: sgd, lr: 1}", "optimiser.phases.0.epochs", "only the last", at=10),
    more("phases too short", "      epochs: 20", "optimiser.phases.0.epochs", "20 of 40", at=12),
    more("momentum of adam", "      momentum: 0.9", "optimiser.phases.0.momentum", "0.9", at=12),
    more("no final rate", "      schedule: exponential", "optimiser.phases.0.final_lr", "exponential", at=10),
    more("idle final rate", "      final_lr: 1e-4", "optimiser.phases.0.final_lr", "cosine", at=12),
    more("idle decay", "      decay_epochs: 9", "optimiser.phases.0.decay_epochs", "9.0", at=12),
    more("no milestones", "      schedule: steps", "optimiser.phases.0.milestones", "[30, 60]", at=10),
    more("idle milestones", "      milestones: [3]", "optimiser.phases.0.milestones", "[3]", at=12),
    more(
        "falling milestones",
        "      schedule: steps\n      milestones: [20, 10]",
        "optimiser.phases.0.milestones",
        "ascending order",
        "[20, 10]",
        at=13,
    ),
    more("idle restarts", "      restart_epochs: 9", "optimiser.phases.0.restart_epochs", "cosine", at=12),
    more(
        "growth of no cycle",
        "      schedule: cosine\n      restart_factor: 2",
        "optimiser.phases.0.restart_factor",
        "needs restart_epochs",
        "2.0",
        at=13,
    ),
    more(
        "shrinking cycles",
        "      schedule: cosine\n      restart_epochs: 9\n      restart_factor: 0.5",
        "optimiser.phases.0.restart_factor",
        "at least 1",
        "0.5",
        at=14,
    ),
    more(
        "long warm-up",
        "      epochs: 40\n      warmup_epochs: 41",
        "optimiser.phases.0.warmup_epochs",
        "longer than the phase",
        "41.0",
        at=13,
    ),
    # YAML
    text("empty text", "", "r.yaml: the recipe is empty", "copy one and change it"),
    text("nothing but comments", "# later\n", "r.yaml: the recipe is empty"),
    text("a list", "- a\n- b\n", "r.yaml: the recipe", "expected keys", "a list", "data, model"),
    text("a scalar", "digits\n", "r.yaml: the recipe", "expected keys", "digits"),
    text("two documents", BASE + "---\n" + BASE, "r.yaml:15: not valid YAML", "single document"),
    edit("open bracket", 5, "model: {name: digits_cnn", "not valid YAML", "of: loss:", at=6),
    edit("tab", 4, "\tlabels: 50", "not valid YAML", "spaces, not tabs", "labels: 50"),
    edit("bad indentation", 4, " labels: 50", "not valid YAML", "labels: 50"),
    edit("open quote", 3, "  name: 'digits", "not valid YAML", "quoted scalar", at=14),
    edit("control character", 3, "  name: di\u0000gits", "the character U+0000", "remove it"),
    edit("tag", 4, "  labels: !!int 50", "the tag '!!int'", "plain value"),
    edit("python tag", 4, "  labels: !!python/object/apply:os.getcwd []", "the tag", "python/object"),
    edit("anchor", 4, "  labels: &n 50", "'&n'", "write the value out"),
    edit("alias", 4, "  labels: *n", "'*n'", "write the value out"),
    text("nested without end", "data: " + "[" * 3000, "r.yaml", "nested too deeply"),
    # overrides
    given("no equals sign", "data.labels", "expected KEY=VALUE", "train.epochs=3"),
    given("no key", "=3", "expected KEY=VALUE"),
    given("gap in the key", "data..labels=3", "expected KEY=VALUE"),
    given("empty value", "data.labels=", "no value", "write null"),
    given("mistyped override", "data.lables=60", "data.lables", "60", "'labels'?"),
    given("mistyped section override", "trian.epochs=2", "'train'?"),
    given("key of a phase overridden", "train.lr=1", "train.lr", "'optimiser.phases.0.lr'?"),
    given("bare key", "epochs=2", "epochs", "value 2", "'train.epochs'"),
    given("override of a wrong type", "train.epochs=x", "train.epochs", "integer"),
    given("override out of range", "train.epochs=-1", "train.epochs", "at least 1"),
    given("override with no choice", "model.norm=bacth", "'batch'?"),
    given("python boolean", "data.mirror=1", "data.mirror", "a boolean"),
    given("below a scalar", "data.labels.x=1", "data.labels", "50", "r.yaml:4"),
    given("no such phase", "optimiser.phases.1.lr=1", "optimiser.phases", "no entry '1'", "0 to 0"),
    given("phase by name", "optimiser.phases.adam.lr=1", "'adam'"),
    given("phase counted from the end", "optimiser.phases.-1.lr=1", "optimiser.phases", "'-1'"),
    given("override that is no YAML", "model.channels=[32", "not valid YAML"),
    given("override with a tag", "train.epochs=!!int 3", "tag"),
    given(
        "override that breaks a rule",
        "loss.weights.path_norm=1",
        "loss.weights.path_norm",
        "1.0",
        "model.path_norm is none",
        "layerwise",
        also="model.path_norm=none",
    ),
]


def test_base_is_valid() -> None:
    """Otherwise the cases would fail for a reason of their own."""
    assert recipe_from_text(BASE, "r.yaml").data.labels == 50


def assert_helpful(message: str, *expected: str) -> None:
    """One or two short lines, with all that is expected and no Python in it."""
    lines = message.split("\n")
    assert 1 <= len(lines) <= 2 and all(len(line) <= 240 and line.isprintable() for line in lines), message
    for part in expected:
        assert part in message, f"{part!r} not in {message!r}"
    for part in ("Traceback", "gluon_nrm.", "<class", "object at", "typing."):
        assert part not in message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_malformed_recipe_or_override(case: Case) -> None:
    """The message names file and line (or the override), key, value and the remedy."""
    with pytest.raises(RecipeError) as caught:
        recipe_from_text(case.text, "r.yaml", case.overrides)
    assert str(caught.value).startswith(case.start), str(caught.value)
    assert_helpful(str(caught.value), *case.expected)


FILES: List[Tuple[str, Callable[[Path], object], Tuple[str, ...]]] = [
    ("digits_mtt.yaml", lambda path: None, ("no such recipe", "did you mean", "digits_mt.yaml'?")),
    ("digits_mt", lambda path: None, ("no such recipe", "did you mean", "digits_mt.yaml'?")),
    ("other.txt", lambda path: None, ("no such recipe", "--list-recipes lists those of the package")),
    ("no_folder/x.yaml", lambda path: None, ("no such recipe", "--list-recipes lists those of the package")),
    ("folder.yaml", Path.mkdir, ("is a folder", "recipe.yaml")),
    ("latin.yaml", lambda path: path.write_bytes(b"# a\nname: \xe9\n"), ("latin.yaml:2: not UTF-8",)),
    ("big.yaml", lambda path: path.write_bytes(b"#" * 1_000_001), ("1000001 bytes", "another file")),
    ("zero\0.yaml", lambda path: None, ("cannot read", "zero\\x00.yaml", "without null characters")),
]


@pytest.mark.parametrize(("name", "make", "expected"), FILES, ids=[case[0].split(".")[0] for case in FILES])
def test_unreadable_file(
    tmp_path: Path, name: str, make: Callable[[Path], object], expected: Tuple[str, ...]
) -> None:
    """A file that is missing, a folder, or no text."""
    (tmp_path / "digits_mt.yaml").write_text(BASE, encoding="utf-8")
    path = tmp_path / name
    make(path)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    for part in expected:
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
