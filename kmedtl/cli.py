"""The command line: parses, hands over to a module of `kmedtl.commands`, prints one line an error.

Imports nothing heavy before a command needs it, so that `kmedtl --help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from kmedtl.commands import misspelt
from kmedtl.commands.table import COMMANDS, module_of, parser
from kmedtl.errors import UserError
from kmedtl.system.printable import shown
from kmedtl.system.quiet import quietly
from kmedtl.system.terminal import carry_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 (the user can mend it), 3 (a gate is missed) or 130."""
    try:
        options = _parsed(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        return 2
    with quietly() if getattr(options, "quiet", False) else contextlib.nullcontext():
        return carry_out(module_of(options.command).command, options, lasting=options.command != "predict")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options.

    Raises:
        UserError: a command or an option that is not there, or a value that cannot be, with what to type instead.
    """
    name = next((text for text in arguments if not text.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        raise misspelt.no_such_command(name, COMMANDS)
    whole = parser()
    options, unknown = whole.parse_known_args(arguments)
    if unknown:
        raise misspelt.no_such_argument(whole.commands[options.command], unknown)
    return options
