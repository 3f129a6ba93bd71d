"""A pattern that never comes to an end is one line; any other finds what `re` finds."""

import pytest

from kmedtl.data import matching, sources
from kmedtl.data.matching import patients_of
from kmedtl.errors import UserError
from kmedtl.recipe import Data


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (r"p\d+", "films/p12-1.png", "p12"),
        (r"^(p\d+)|x(\d+)", "films/x7.png", "7"),
        (r"site-(\d)", "site-3/film.png", "3"),
        (r"q", "films/p1.png", None),
    ],
)
def test_what_is_found(pattern, name, expected):
    assert patients_of([name] * 3, pattern) == [expected] * 3


def test_no_names_are_no_patients():
    assert patients_of([], "x") == []


def test_many_names_keep_their_order():
    assert patients_of([f"p{number}.png" for number in range(2500)], r"\d+") == [str(n) for n in range(2500)]


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)*$"])
def test_a_pattern_that_never_ends_is_named(pattern, image_folder, monkeypatch):
    monkeypatch.setattr(matching, "SECONDS", 0.5)
    films = image_folder / "NORMAL"
    next(films.iterdir()).rename(films / f"{'a' * 60}!.png")
    with pytest.raises(UserError, match=r"data\.patient_pattern.*takes longer than 0\.5 s") as error:
        sources.load(Data(str(image_folder), patient_pattern=pattern), seed=0)
    assert "\n" not in str(error.value)
