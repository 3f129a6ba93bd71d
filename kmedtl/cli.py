"""The command line: parses, hands over to a module of `kmedtl.commands`, prints one line an error.

Imports nothing heavy before a command needs it, so that `kmedtl --help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

import kmedtl
from kmedtl.commands import misspelt
from kmedtl.commands.parser import Parser
from kmedtl.errors import UserError
from kmedtl.system.printable import shown
from kmedtl.system.quiet import quietly
from kmedtl.system.terminal import carry_out

# Each is a module of `kmedtl.commands` with `HELP`, `add_options` and `command`; in the order of the help.
COMMANDS = (
    "run", "show", "search", "lr-find", "audit", "manifest", "store", "predict", "inspect", "shift", "compare",
    "ensemble", "evaluate", "export", "report", "recipes", "backbones", "doctor", "completion",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 2 (the user can mend it), 3 (a file misses its gate) or 130."""
    try:
        options = _parsed(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        return 2
    with quietly() if getattr(options, "quiet", False) else contextlib.nullcontext():
        return carry_out(_module(options.command).command, options, lasting=options.command != "predict")


def parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="kmedtl", description=kmedtl.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"kmedtl {kmedtl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name in COMMANDS:
        module = _module(name)
        assert module.__doc__  # says what the command does
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__.splitlines()[0])
        module.add_options(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


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


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"kmedtl.commands.{command.replace('-', '_')}")
