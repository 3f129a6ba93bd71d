"""A parser that answers a mistake with one line, and knows its own options. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from kmedtl.errors import UserError


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are `UserError`.

    Attributes:
        arguments: its options and positional arguments, in order.
        commands: name → parser of a command below it.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.arguments: list[argparse.Action] = []
        self.commands: dict[str, Parser] = {}
        super().__init__(*arguments, **settings)
        self.register("type", int, _whole_number)
        self.register("type", float, _number)

    def add_argument(self, *arguments: Any, **settings: Any) -> argparse.Action:
        action = super().add_argument(*arguments, **settings)
        self.arguments.append(action)
        return action

    def add_subparsers(self, **settings: Any) -> argparse._SubParsersAction:
        action = super().add_subparsers(**settings)
        self.commands = action.choices
        return action

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see `{self.prog} --help`.")

    @property
    def options(self) -> list[str]:
        """The options, as they are typed, those of commands below included."""
        own = [name for action in self.arguments for name in action.option_strings if name.startswith("--")]
        return [*own, *(name for below in self.commands.values() for name in below.options if name not in own)]


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number. Received: {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number. Received: {text!r}") from None
