"""A recipe as YAML for people: a comment with its reason above each choice."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kmedtl.config import to_dict
from kmedtl.recipe import Recipe

WIDTH = 110


def written(recipe: Recipe, reasons: Mapping[str, str], unknown: Sequence[str]) -> str:
    """Return YAML that `kmedtl run` takes.

    Args:
        reasons: path of a setting → why it is as it is.
        unknown: sentences on what could not be known, for the beginning.
    """
    lines = [f"# Proposed by `kmedtl new {recipe.name}`; a reason stands above each choice. Edit it as you like."]
    lines += ["# Could not be known:"] if unknown else []
    for sentence in unknown:
        lines += _comment(sentence, "#   - ", "#     ")
    values = _with_reasons(to_dict(recipe, defaults=False), to_dict(recipe), "", reasons)
    return "\n".join([*lines, *_mapping(values, "", 0, reasons), ""])


def _with_reasons(brief: Mapping[str, Any], whole: Mapping[str, Any], path: str, reasons: Mapping[str, str]) -> dict:
    """Return the settings that differ from the defaults, and those that were chosen to be the default."""
    found = {}
    for key, value in whole.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and any(name.startswith(f"{place}.") for name in reasons):
            found[key] = _with_reasons(brief.get(key, {}), value, place, reasons)
        elif key in brief or place in reasons:
            found[key] = brief.get(key, value)
    return found


def _mapping(values: Mapping[str, Any], path: str, depth: int, reasons: Mapping[str, str]) -> list[str]:
    lines, indent = [], "  " * depth
    for key, value in values.items():
        place = f"{path}.{key}" if path else key
        if place in reasons:
            lines += _comment(reasons[place], f"{indent}# ", f"{indent}# ")
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_mapping(value, place, depth + 1, reasons)]
        else:
            text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=WIDTH)
            lines += textwrap.indent(text.rstrip(), indent).splitlines()
    return lines


def _comment(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=others)
