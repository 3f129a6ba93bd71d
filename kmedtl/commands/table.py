"""The table of the commands, and the parser of them all."""

from __future__ import annotations

import importlib
from types import ModuleType

import kmedtl
from kmedtl.commands.parser import Parser

# Each is a module of `kmedtl.commands` with `HELP`, `add_options` and `command`; in the order of the help.
COMMANDS = (
    "run", "new", "show", "search", "lr-find", "audit", "manifest", "store", "predict", "inspect", "shift",
    "validate", "adapt", "update", "drift", "compare", "ensemble", "evaluate", "export", "report", "recipes",
    "backbones", "weights", "doctor", "completion",
)  # fmt: skip


def parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="kmedtl", description=kmedtl.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"kmedtl {kmedtl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name in COMMANDS:
        module = module_of(name)
        assert module.__doc__  # tells what the command does
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__.splitlines()[0])
        module.add_options(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def module_of(command: str) -> ModuleType:
    """Return the module of a command, imported now."""
    return importlib.import_module(f"kmedtl.commands.{command.replace('-', '_')}")
