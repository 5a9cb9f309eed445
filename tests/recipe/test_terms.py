"""Loss terms are listed once."""

from __future__ import annotations

from typing import Callable, List

from fakes import ROOT

from gluon_nrm.recipe.schema import Loss
from gluon_nrm.recipe.terms import CONSISTENCY, GENERATIVE, LADDER, NRM_TERMS, TERMS, Term, ramped_by


def files_that_list(text_of: Callable[[Term], str]) -> List[str]:
    """Files of the package in which four or more of the terms' texts stand as strings."""
    texts = [f'"{text_of(term)}"' for term in TERMS.values()]
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "gluon_nrm").rglob("*.py")}
    return [name for name, source in sources.items() if sum(text in source for text in texts) >= 4]


def test_there_is_no_second_list() -> None:
    assert files_that_list(lambda term: term.short) == ["terms.py"]
    # where they are computed; terms.py has some of the words as titles and inputs
    assert set(files_that_list(lambda term: term.name)) - {"terms.py"} == {"objective.py"}


def test_every_term_has_looks_of_its_own() -> None:
    for looks in zip(*[(term.short, term.title, term.colour) for term in TERMS.values()]):
        assert len(set(looks)) == len(TERMS)


def test_ramp_ups_are_keys_of_a_recipe() -> None:
    assert {term.ramp_up for term in TERMS.values()} == {None, GENERATIVE, CONSISTENCY}
    assert all(hasattr(Loss(), key) for key in (GENERATIVE, CONSISTENCY))
    assert ramped_by(CONSISTENCY) == "consistency and virtual_adversarial"


def test_terms_of_other_networks_are_not_those_of_a_rendering_one() -> None:
    assert TERMS["denoising"].of == LADDER
    assert "denoising" not in NRM_TERMS and "adversarial" not in NRM_TERMS
    others = {name for name, term in TERMS.items() if term.of or term.methods}
    assert set(TERMS).difference(NRM_TERMS) == others
