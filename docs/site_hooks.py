"""What MkDocs does not do by itself: pages from outside of docs/, a reference page a room, the notebook as a page."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# From outside of docs/ to the page that it is on the site.
PAGES = {
    "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "saved_models/README.md": "runs.md",
    "docs/tutorial.ipynb": "tutorial.md",
}  # fmt: skip
INSTEAD = {"README.md": "index.md"}  # a page of docs/ that stands for it
LEFT_OUT = ("commands",)  # rooms that only the command line calls
LINK = re.compile(r"(!?)\[([^]\[]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List a page a room under Reference."""
    listed = [{room: f"reference/{room}.md"} for room in _rooms()]
    (reference,) = (section for section in config.nav if "Reference" in section)
    reference["Reference"] = listed
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of what lies elsewhere."""
    made = {page: _read(ROOT / source) for source, page in PAGES.items()}
    made |= {f"reference/{room}.md": _reference(room, modules) for room, modules in _rooms().items()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their goals are on the site; of what is not there the name stays."""
    own = next((source for source, name in PAGES.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")

    def led(link: re.Match[str]) -> str:
        image, text, goal, anchor = link.groups(default="")
        if re.match(r"[a-z]+:", goal):
            return link[0]
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(own), goal))
        goal = (PAGES | INSTEAD).get(goal, goal.removeprefix("docs/"))
        if not files.get_file_from_path(goal) and (ROOT / goal).exists():
            return text
        return f"{image}[{text}]({posixpath.relpath(goal, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return LINK.sub(led, markdown)


def _rooms() -> dict[str, list[str]]:
    """Return the modules of each room with a docstring; those of no room are the room `kmedtl`."""
    rooms: dict[str, list[str]] = {"kmedtl": []}
    for path in sorted((ROOT / "kmedtl").rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        _, room, *deeper = [*name.split("."), ""]
        is_alone = not deeper or (not deeper[0] and path.name != "__init__.py")
        if "__main__" not in name and room not in LEFT_OUT and path.stat().st_size:
            rooms.setdefault("kmedtl" if is_alone else room, []).append(name)
    return rooms


def _reference(room: str, modules: list[str]) -> str:
    return "\n\n".join([f"# {room}", *(f"::: {module}" for module in modules)])


def _read(path: Path) -> str:
    """Return a page's Markdown; of a notebook its text, with the code in blocks."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells)
