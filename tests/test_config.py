from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from kmedtl import config, recipe
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Part:
    rate: float
    kind: Literal["slow", "fast"] = "slow"


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...] = (Part(0.1),)
    names: tuple[str, ...] = ()
    limit: int | None = None
    flag: bool = False
    part: Part = field(default_factory=lambda: Part(1.0))


def test_a_round_trip_keeps_every_value():
    whole = Whole("a", (Part(0.5, "fast"), Part(2.0)), ("x", "y"), limit=3, flag=True, part=Part(3.0))
    assert config.build(Whole, config.to_dict(whole)) == whole


def test_overrides_reach_into_lists_and_keep_types():
    whole = config.override(Whole("a"), ["parts.0.rate=1e-4", "limit=5", "names=[b, c]", "part.kind=fast"])
    assert whole.parts == (Part(1e-4),)
    assert whole.limit == 5
    assert whole.names == ("b", "c")
    assert whole.part == Part(1.0, "fast")
    assert config.override(whole, ["limit=null"]).limit is None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, ["name", "no default"]),
        ({"name": "a", "limt": 3}, ["limt", "Did you mean 'limit'?"]),
        ({"name": 3}, ["name", "expected text", "3"]),
        ({"name": "a", "limit": 2.5}, ["limit", "whole number", "2.5"]),
        ({"name": "a", "limit": True}, ["limit", "whole number", "True"]),
        ({"name": "a", "flag": 1}, ["flag", "true or false", "1"]),
        ({"name": "a", "names": "b"}, ["names", "a list", "'b'"]),
        ({"name": "a", "names": [False]}, ["names.0", "in quotes", "False"]),
        ({"name": "a", "parts": [{"rate": "high"}]}, ["parts.0.rate", "a number", "'high'"]),
        ({"name": "a", "parts": [{"rate": 1, "knd": "slow"}]}, ["parts.0.knd", "Did you mean 'kind'?"]),
        ({"name": "a", "part": {"rate": 1, "kind": "fsat"}}, ["part.kind", "Did you mean 'fast'?"]),
        ({"name": "a", "part": 7}, ["part", "named settings", "7"]),
        ("text", ["named settings", "'text'"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(document, words):
    with pytest.raises(UserError) as error:
        config.build(Whole, document)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("limit", ["path=value"]),
        ("limt=3", ["limt", "Did you mean 'limit'?"]),
        ("rate=3", ["rate: no such setting. Did you mean 'part.rate'?"]),
        ("rte=3", ["Did you mean 'part.rate'?"]),
        ("parts.0.limit=3", ["Did you mean 'limit'?"]),
        ("parts.1.rate=3", ["index from 0 to 0", "'1'"]),
        ("parts.one.rate=3", ["index"]),
        ("name.first=3", ["below a single value"]),
        ("limit=[1", ["not valid YAML"]),
        ("limit=many", ["limit", "whole number"]),
    ],
)
def test_a_wrong_override_names_path_and_remedy(assignment, words):
    with pytest.raises(UserError) as error:
        config.override(Whole("a"), [assignment])
    for word in words:
        assert word in str(error.value)


def _laughs(levels):
    """Each level stands for ten of the one before."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (_laughs(30), "aliases stand for more than"),
        ("a: &a [*a]", "aliases stand for more than"),
        ("[" * 100_000, "levels"),
        ("{a: " * 100_000, "levels"),
        ("x" * 1_000_001, "characters"),
        ("2001-99-99", "not valid YAML"),
        ("!!python/object/apply:os.system [true]", "not valid YAML"),
        ("9" * 5000, "not valid YAML"),
    ],
)
def test_yaml_that_nobody_would_write_is_refused_in_one_line(text, word, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    for read in (lambda: recipe.read(path), lambda: config.override(Whole("a"), [f"limit={text}"])):
        with pytest.raises(UserError, match=word) as error:
            read()
        assert len(str(error.value)) < 400
        assert "\n" not in str(error.value)


def test_an_alias_that_saves_typing_is_fine():
    assert config.override(Whole("a"), ["names=[&x b, *x]"]).names == ("b", "b")


@dataclass(frozen=True)
class Named:
    marks: Mapping[str, int | str] = field(default_factory=dict)
    part: Part = field(default_factory=lambda: Part(1.0))


@pytest.mark.parametrize(
    ("assignments", "marks"),
    [
        (["marks.vessel=255"], {"vessel": 255}),
        (["marks.vessel=255", "marks.disc='#ff0000'", "marks.vessel=1"], {"vessel": 1, "disc": "#ff0000"}),
        (["marks={vessel: 255, disc: '*_disc*'}"], {"vessel": 255, "disc": "*_disc*"}),
        (["marks.vessel=255", "marks={}"], {}),
    ],
)
def test_the_names_of_a_mapping_are_the_users_own(assignments, marks):
    named = config.override(Named(), assignments)
    assert named.marks == marks
    assert config.build(Named, config.to_dict(named)) == named


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("marks.vessel=true", ["marks.vessel", "True"]),
        ("marks.vessel=2.5", ["marks.vessel", "2.5"]),
        ("marks.vessel.x=1", ["marks.vessel.x", "no such setting"]),
        ("mark.vessel=1", ["Did you mean 'marks'?"]),
        ("part.speed=1", ["part.speed", "no such setting"]),
    ],
)
def test_what_a_mapping_cannot_hold_is_refused(assignment, words):
    with pytest.raises(UserError) as error:
        config.override(Named(), [assignment])
    for word in words:
        assert word in str(error.value)
