"""How an operating point is chosen, as a recipe says it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kmedtl.errors import UserError

RULE = re.compile(r"(youden|cost|balanced)|(sensitivity|specificity) ?>= ?(0?\.[0-9]+|1(?:\.0*)?)")


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen.

    Attributes:
        name: `youden`, `cost`, `balanced`, `sensitivity` or `specificity`.
        least: what the last two must reach, above 0 to 1; 0 of the others.
    """

    name: str
    least: float = 0.0


def parse_rule(text: str) -> Rule:
    """Return the rule that a recipe names.

    Raises:
        UserError: none of `youden`, `cost`, `balanced`, `sensitivity>=S`, `specificity>=S`, S above 0 to 1.
    """
    match = RULE.fullmatch(text)
    if match is None or (match[3] and float(match[3]) == 0):
        raise UserError(
            "evaluation.operating_point: expected youden, cost, balanced, sensitivity>=S or specificity>=S, S above 0 "
            f"and up to 1, as sensitivity>=0.95. Received: {text!r}."
        )
    return Rule(match[1]) if match[1] else Rule(match[2], float(match[3]))
