"""What somebody meant who typed a command or an option that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmedtl.commands.parser import Parser
from kmedtl.errors import UserError, nearest

# Names that other programs have, and the command that does it here.
COMMANDS = {
    "train": "run",
    "fit": "run",
    "finetune": "run",
    "test": "evaluate",
    "infer": "predict",
    "classify": "predict",
    "explain": "predict",
    "convert": "export",
    "tune": "search",
    "info": "inspect",
    "models": "backbones",
    "config": "show",
    "check": "doctor",
    "help": "--help",
}
# The same of options; the value that was typed follows what ends with a blank or `=`.
OPTIONS = {
    "--output": "--out ",
    "--output-dir": "--out ",
    "--model": "--backbone ",
    "--image-size": "--size ",
    "--dataset": "--data ",
    "--verbose": "--debug",
    "--silent": "--quiet",
}
DEVICES = ("--gpu", "--gpus", "--device", "--cuda", "--cpu")


def no_such_command(name: str, known: Iterable[str]) -> UserError:
    """Return what to say of a command that is not there."""
    known = list(known)
    if name in COMMANDS:
        return UserError(f"kmedtl {name}: no such command; type `kmedtl {COMMANDS[name]}`.")
    return UserError(f"kmedtl {name}: no such command. {nearest(name, known)}")


def no_such_argument(command: Parser, unknown: Sequence[str]) -> UserError:
    """Return what to say of the first of the arguments that a command does not know."""
    name, equals, value = unknown[0].partition("=")
    value = value if equals else next((text for text in unknown[1:2] if not text.startswith("-")), "…")
    return UserError(f"{command.prog}: no such argument: {name}. {_meant(command, name, value)}")


def _meant(command: Parser, name: str, value: str) -> str:
    options = command.options
    if name in options:
        return f"It belongs behind the command: `{command.prog} {name}`."
    if not name.startswith("-"):
        is_source = "--data" in options and Path(name).exists()
        return f"Type `--data {name}`." if is_source else f"See `{command.prog} --help`."
    positional = [action for action in command.arguments if not action.option_strings]
    places = {action.dest: action.metavar or action.dest.upper() for action in positional}
    if name.lstrip("-") in places:
        return f"Type the value alone: `{command.prog} {places[name.lstrip('-')]}`."
    if name in DEVICES and "--set" in options:
        return "GPUs are used where there are any; `--set training.strategy=cpu` leaves them alone."
    typed = OPTIONS.get(name, "")
    if typed.split(" ")[0] in options:
        return f"Type `{typed}{value}`." if typed.endswith(" ") else f"Type `{typed}`."
    settings = _settings() if "--set" in options else {}
    by_name = {option: option for option in options} | {
        f"--{leaf.replace('_', '-')}": f"--set {path}={value}" for leaf, path in settings.items()
    }
    by_name |= {option: option for option in options}
    wanted = name.replace("_", "-")
    if wanted in by_name:
        return f"Type `{by_name[wanted]}`."
    close = difflib.get_close_matches(wanted, by_name, n=1, cutoff=0.6)
    return f"Did you mean `{by_name[close[0]]}`?" if close else f"Known: {', '.join(options)}."


def _settings() -> dict[str, str]:
    """Return the last part of every setting's path → the path, of the first that ends so."""
    from kmedtl.config import flat
    from kmedtl.recipe import Recipe, Stage

    paths = flat(Recipe("any", (Stage("head", "head", 1, 1e-3),)))
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.count(".")):
        found.setdefault(path.rpartition(".")[2], path)
    return found
