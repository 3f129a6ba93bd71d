"""`kmedtl completion`: a script that lets a shell complete commands, options, recipes and backbones."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmedtl.commands.parser import Parser

HELP = "print what lets bash, zsh or fish complete a command"

BASH = """\
# kmedtl for bash: source <(kmedtl completion bash)
_kmedtl() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
            *)
                case "${{COMP_WORDS[1]}}" in
{options}
                esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _kmedtl kmedtl
"""
ZSH = """\
# kmedtl for zsh: source <(kmedtl completion zsh)
autoload -U +X bashcompinit && bashcompinit
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script")


def command(options: argparse.Namespace) -> int:
    from kmedtl.commands.table import parser

    whole = parser()
    print({"bash": _bash, "zsh": lambda whole: ZSH + _bash(whole), "fish": _fish}[options.shell](whole), end="")
    return 0


def _bash(whole: Parser) -> str:
    """Return the script for bash, which zsh runs as well."""
    values, options = [], []
    for name, command in whole.commands.items():
        for action in command.arguments:
            words, typed = _words(action), " | ".join(f'"{name} {option}"' for option in action.option_strings)
            if words and typed:
                values.append(f'            {typed}) words="{" ".join(words)}" ;;')
        first = [word for action in command.arguments if not action.option_strings for word in _words(action)]
        options.append(
            f'                    {name}) words="{" ".join([*first, *command.commands, *command.options])}" ;;'
        )
    return BASH.format(commands=" ".join(whole.commands), values="\n".join(values), options="\n".join(options))


def _fish(whole: Parser) -> str:
    lines = ["# kmedtl for fish: kmedtl completion fish | source"]
    for name, command in whole.commands.items():
        lines.append(f"complete -c kmedtl -n __fish_use_subcommand -a {name}")
        seen = f"complete -c kmedtl -n '__fish_seen_subcommand_from {name}'"
        for action in command.arguments:
            words = f" -x -a '{' '.join(_words(action))}'" if _words(action) else ""
            longs = [option.removeprefix("--") for option in action.option_strings if option.startswith("--")]
            lines += [f"{seen} -l {option}{words}" for option in longs]
            lines += [f"{seen}{words.removeprefix(' -x')}"] if words and not action.option_strings else []
        lines += [f"{seen} -a '{' '.join(command.commands)}'"] if command.commands else []
    return "\n".join(lines) + "\n"


def _words(action: argparse.Action) -> list[str]:
    """Return the values that an argument can have, as far as they can be listed."""
    from kmedtl.backbones import registry
    from kmedtl.recipes import describe

    if action.choices:
        return [str(choice) for choice in action.choices]
    if action.metavar == "RECIPE":
        return list(describe())
    return registry.names() if action.dest in ("backbone", "pattern") else []
