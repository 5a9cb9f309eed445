"""Every string of a recipe comes back as it went: from YAML, from overrides, and from a run's folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict, List

import pytest
import yaml

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe import load_recipe, recipe_from_text, recipe_to_yaml
from gluon_nrm.recipe.yaml_io import read_plain, write_yaml
from gluon_nrm.runs.open_run import load_run, open_run

RECIPE = """\
data: {name: digits}
model: {name: digits_cnn}
loss: {}
teacher: {}
optimiser: {phases: [{name: adam, lr: 0.001}]}
train: {epochs: 1, batch_labelled: 10}
"""

#: Strings that some version of YAML, or some of its readers, takes for something else.
WORDS = """\
1_10 11_0 0o7 0x1F 0b11 007 1:30 190:20:30 1:30.5 2024-02-31 2024-02-30T25:61:61Z 2001-12-14 yes no on off y
N Yes null Null ~ None true TRUE False .inf -.INF .nan 1e3 1E5 +1 -0 1. .5 1,000 685_230.15 = << - -- --- ...
? : , # % @ ` ! & * | > [ ] { } ' " \\ !!int &a *a %YAML a:b a: :a a#b key:value {a} [a] {{x}} 'a' "a" it's
C:\\data\\new"""
ODD = [
    *WORDS.split(),
    *["", " ", "  ", " a", "a ", "a  b", "a: b", "a #b", "- a", "? a", "a\tb", "\t", "a\nb", "\n", "\na\n"],
    *["a\r\nb", "\r", "\x85a", "a\u2028b", "\u2029", "\ufeffa", "\x00", "\x1b[31m", "\x7f", "\x9f", "\ud800"],
    *["\udcff.png", "é", "日本語", "\U0001f600", "\ufffe", "\uffff", "\U0010ffff", "\u200b", "a\n\n  b\n"],
    *["x" * 300, "word " * 60, "\\" * 120, "'\"" * 60],
]


def random_strings(count: int) -> List[str]:
    """Short strings of the characters that mean something in YAML, and long ones of any characters."""
    rng = random.Random(0)
    signs = "0123456789+-_.:eEoxbTZ~yYnN #,[]{}&*!|>'\"%@`?=<\\/\t\n\r"
    short = ["".join(rng.choices(signs, k=rng.randint(1, 8))) for _ in range(count)]
    any_character = [
        chr(rng.choice((rng.randrange(0x100), rng.randrange(0x110000)))) for _ in range(4 * count)
    ]
    return short + [
        "".join(rng.choices(any_character + [" "] * count, k=rng.randint(1, 200))) for _ in range(count // 4)
    ]


def test_strings_come_back_from_yaml() -> None:
    for text in ODD + random_strings(400):
        written = write_yaml({"key": text, "list": [text, "b"], "nested": [{"key": text}]})
        read = read_plain(written, lambda line: "x")
        assert read == {"key": text, "list": [text, "b"], "nested": [{"key": text}]}, (text, written)


def test_what_is_written_means_the_same_to_other_readers() -> None:
    for text in ODD + random_strings(200):
        assert yaml.safe_load(write_yaml({"key": text, "list": [text]})) == {"key": text, "list": [text]}, (
            text
        )


def test_numbers_and_the_rest_come_back_too() -> None:
    values: Dict[str, Any] = {
        "a": 0,
        "b": -5,
        "c": 1e-5,
        "d": 1e300,
        "e": 0.1,
        "f": True,
        "g": None,
        "h": [],
        "i": {},
        "j": 2.0,
    }
    read = read_plain(write_yaml(values), lambda line: "x")
    assert read == values
    assert [type(each) for each in read.values()] == [type(each) for each in values.values()]


def test_strings_come_back_from_a_recipe_and_from_a_run(tmp_path: Path) -> None:
    for number, text in enumerate(ODD[::2] + random_strings(12)):
        quoted = write_yaml({"path": text})[len("path: ") :].strip()
        recipe = recipe_from_text(RECIPE, "x.yaml", [f"data.path={quoted}"])
        assert recipe.data.path == text
        written = recipe_to_yaml(recipe)
        assert recipe_from_text(written, "x.yaml") == recipe
        if number % 4 == 0:
            with open_run(tmp_path / str(number), "x-s0", written, {}) as run:
                assert load_run(run.path).recipe()["data"]["path"] == text


@pytest.mark.parametrize("name", ["2024-02-31", "1_10", "0o7", "null", "yes", "1e3", "0x1F", "12", "_"])
def test_a_recipe_of_any_file_name_is_the_run_of_that_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.name == name
    for resumed in (False, True):
        with open_run(tmp_path / "runs", f"{name}-s0", recipe_to_yaml(recipe), {}) as run:
            assert run.resumed is resumed
            assert run.recipe()["name"] == name
            assert recipe_from_text(run.recipe_text(), "elsewhere.yaml") == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", "'&a': anchors are not allowed"),
        ("a: [*b]\n", "'\\*b': anchors are not allowed"),
        ("<<: {a: 1}\n", "unknown key"),
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        ("- " * 50_000, "nested too deeply"),
        ("? " * 50_000, "nested too deeply"),
        ("".join(" " * depth + "a:\n" for depth in range(300)), "nested too deeply"),
    ],
)
def test_depth_and_aliases_are_bounded_before_anything_is_built(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_text(text, "x.yaml")
