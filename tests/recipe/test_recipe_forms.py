"""A recipe in Python: one line; in a notebook: the settings that were chosen."""

from __future__ import annotations

import html

from short_runs import FULL, SUPERVISED, recipe

from gluon_nrm.recipe import recipe_from_text


def test_one_line() -> None:
    assert repr(recipe(SUPERVISED)) == (
        "<Recipe short: digits with 20 labels, digits_cnn, terms cross_entropy, 3 epochs, seed 0>"
    )
    changes = ["data.labels=null", "data.unlabelled_includes_labelled=true", "train.seed=7"]
    assert repr(recipe(FULL, *changes)) == (
        "<Recipe short: digits with all labels, digits_cnn with Max-Min, terms cross_entropy, "
        "reconstruction, entropy, moment_matching, path_norm, consistency, 3 epochs, seed 7>"
    )


def test_the_notebook_form_is_a_recipe() -> None:
    for text in (SUPERVISED, FULL):
        chosen = recipe(text, "model.name='<b>&'")
        page = chosen._repr_html_()
        assert page.startswith("<pre>") and page.endswith("</pre>") and "<" not in page[5:-6]
        assert "eval_batch" not in page
        assert recipe_from_text(html.unescape(page[5:-6]), "page") == chosen
