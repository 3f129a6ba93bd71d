"""Pages that stand alone: one HTML file, nothing fetched from anywhere, text escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2


def write(path: Path, template: Path, **content: Any) -> None:
    """Render a template, which may include its neighbours and `style.css`, into the file `path`."""
    loader = jinja2.FileSystemLoader([template.parent, Path(__file__).parent])
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    path.write_text(environment.get_template(template.name).render(**content), encoding="utf-8")
