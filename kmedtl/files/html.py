"""Pages that stand alone: one file, nothing fetched from anywhere, text escaped, plots inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from kmedtl.files.digits import in_digits
from kmedtl.files.theme import follow_theme
from kmedtl.system.progress import progress

TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"<?xml": "image/svg+xml"}


def write(path: Path, template: Path, search: Sequence[Path] = (), **content: Any) -> None:
    """Render a template into the file `path`, as `render` does."""
    path.write_text(render(template, search, **content), encoding="utf-8")


def render(template: Path, search: Sequence[Path] = (), **content: Any) -> Markup:
    """Render a template, which may include its neighbours, those in `search`, and `style.css`.

    What it returns is not escaped again where another template shows it.
    """
    loader = jinja2.FileSystemLoader([template.parent, *search, Path(__file__).parent])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["digits"] = in_digits
    return Markup(environment.get_template(template.name).render(**content))


def save_plots(figures: Mapping[str, Figure], folder: Path) -> dict[str, str]:
    """Write figures as PNG into a folder; return them by name as data addresses of SVG.

    In the SVG letters are outlines, and colours follow the reader's theme; the PNG is on white.
    """
    folder.mkdir(exist_ok=True)
    addresses = {}
    with matplotlib.rc_context({"svg.hashsalt": "kmedtl"}):  # the same figure is the same file
        for name, figure in progress(figures.items(), "Plots", unit="figure", delay=2):
            figure.savefig(folder / f"{name}.png", dpi=110)
            figure.set_layout_engine("none")  # it is laid out now, which takes longer than to draw it
            drawn = io.BytesIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
            addresses[name] = address(follow_theme(drawn.getvalue().decode()).encode())
    return addresses


def address(picture: bytes) -> str:
    """Return a data address of a PNG, JPEG or SVG file.

    Raises:
        ValueError: another kind of file.
    """
    for start, kind in TYPES.items():
        if picture.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(picture).decode()}"
    raise ValueError(f"expected a PNG, JPEG or SVG file; received one that begins with {picture[:8]!r}")
