"""What a model file says about itself, in words or as the document that it is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from kmedtl.edge import in_words, model_info
from kmedtl.system.printable import shown, shown_json


def inspect(path: Path, as_json: bool = False) -> str:
    """Return the metadata of a model file, SavedModel folder or run folder; the JSON is complete.

    Raises:
        UserError: it carries none, or some that this version does not read.
    """
    info = model_info.read(path)
    if as_json:
        return shown_json(json.dumps(asdict(info), indent=2, ensure_ascii=False)) + "\n"
    return "".join(f"{shown(line)}\n" for line in in_words.lines(path, info))
