"""Every setting of a recipe with its meaning, out of the docstrings of its parts: there is no second list to keep."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)", re.DOTALL)
END = re.compile(r"(?<![A-Z .])\.(?=\s+[A-Z`])|\.$")  # of a sentence; not that of an initial


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it stands.

    Attributes:
        path: as `--set` takes it.
        meaning: the first sentence on it.
        is_default: nobody had to say it.
    """

    path: str
    value: Any
    meaning: str
    is_default: bool


def settings_of(config: Any, path: str = "") -> Iterator[Setting]:
    """Yield the settings of a tree of dataclasses, in its order; a list of plain values or a mapping is one setting."""
    told = _meanings(type(config))
    for field in dataclasses.fields(config):
        place, value = f"{path}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from settings_of(value, f"{place}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for number, item in enumerate(value):
                yield from settings_of(item, f"{place}.{number}.")
        else:
            yield Setting(place, value, told.get(field.name, ""), _is_default(field, value))


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return made is not dataclasses.MISSING and value == made


def _meanings(cls: type) -> dict[str, str]:
    """Return name → first sentence of the entries under `Attributes:` of a docstring."""
    listed = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    listed = re.split(r"\n(?=\S)", listed, maxsplit=1)[0]  # up to the next section
    entries = (ENTRY.fullmatch(" ".join(entry.split())) for entry in re.split(r"\n {4}(?=\S)", f"\n{listed}"))
    return {name: _sentence(entry[2]) for entry in entries if entry for name in entry[1].split(", ")}


def _sentence(text: str) -> str:
    end = END.search(text)
    return text[: end.start()] if end else text
