"""YAML from outside: of a size and a depth that a person writes."""

from __future__ import annotations

from typing import Any

import yaml

from kmedtl.errors import UserError

LARGEST = 1_000_000  # characters
DEEPEST = 50  # levels; recipes have five
MOST = 100_000  # values, once every alias is written out


def parse(text: str, where: str) -> Any:
    """Return what the text says.

    Args:
        where: what a message begins with.

    Raises:
        UserError: no YAML, or more than a person would write, aliases written out.
    """
    if len(text) > LARGEST:
        raise UserError(f"{where}: expected at most {LARGEST} characters of YAML. Received: {len(text)}.")
    try:
        _refuse_depth(text, where)
        if _written_out(yaml.compose(text, yaml.SafeLoader), {}) > MOST:
            raise UserError(f"{where}: its aliases stand for more than {MOST} values; write out what is meant.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # or a date that is none, or a number of too many digits
        raise UserError(f"{where}: not valid YAML ({' '.join(str(error).split())[:200]}).") from None


def _refuse_depth(text: str, where: str) -> None:
    """Refuse what the reader would follow down until Python's stack is full."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError(f"{where}: expected at most {DEEPEST} levels of YAML; flatten it.")


def _written_out(node: yaml.Node | None, known: dict[int, float]) -> float:
    """Return how many values a node stands for; one that holds itself stands for infinitely many."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]
