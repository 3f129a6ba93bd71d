"""The packages of kmedtl build on each other in one order: what a module imports lies below it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "kmedtl"
ROOMS = (
    "errors", "system", "files", "vetting", "images", "config", "edge", "recipe", "data", "backbones", "heads",
    "statistics", "tasks", "audit", "finetune", "explain", "export", "report", "ensemble", "runs", "runner", "search",
    "proposal", "recipes", "commands", "cli", "__main__",
)  # fmt: skip
# A recipe can be called as a script.
DOORS = {"kmedtl/recipes": "cli"}
MODULES = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path):
    return path.parts[1].removesuffix(".py")


def imported(path):
    """Return the rooms that a module imports, wherever in it; what only annotations need does not count."""
    tree = ast.parse((PACKAGE.parent / path).read_text(encoding="utf-8"))
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    passed = {id(node) for block in typing for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kmedtl":
            below = node.module.split(".")[1:]
            yield from [below[0]] if below else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("kmedtl."))


def test_every_room_has_its_place():
    assert {room_of(path) for path in MODULES} == set(ROOMS)


def test_imports_go_downwards():
    upwards = {}
    for path in MODULES:
        place = ROOMS.index(room_of(path))
        allowed = {other for door, other in DOORS.items() if str(path).startswith(door)}
        above = {room for room in imported(path) if room in ROOMS and ROOMS.index(room) > place} - allowed
        if above:
            upwards[str(path)] = above
    assert upwards == {}
