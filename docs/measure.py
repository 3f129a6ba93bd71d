"""Measures the figures of the README and of the pneumonia recipe's docstring anew, and writes them there.

python docs/measure.py                  # of the first command, on the synthetic thorax
python docs/measure.py --films FOLDER   # and of the films of Kermany et al. 2018
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from kmedtl.files.digits import in_time

ROOT = Path(__file__).parents[1]
README, RECIPE = ROOT / "README.md", ROOT / "kmedtl" / "recipes" / "pneumonia.py"
OF_FILMS = ("Test set:", "  AUC ", "  Balanced", "  Sensitivity", "  Specificity", "  Flagged", "File ", "model_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", help="the folder of the films; without it their figures stay")
    films = parser.parse_args().films
    fill(README, "synthetic", shown_by())
    if films:
        lines = shown_by("--data", films)
        fill(README, "films", [line for line in lines if not line or line.startswith(OF_FILMS)])
        fill_docstring(lines)


def shown_by(*arguments: str) -> list[str]:
    """Return what the recipe's command prints; its progress goes to the terminal."""
    command = [sys.executable, "-m", "kmedtl.recipes.pneumonia", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip("\n").splitlines()


def fill(path: Path, block: str, lines: list[str]) -> None:
    """Put lines, as code, between a block's two comments."""
    code = re.sub(r"\n{3,}", "\n\n", "\n".join(f"    {line}".rstrip() for line in lines)).strip("\n")
    start, end = f"<!-- measured: {block} -->\n", "\n<!-- end -->"
    before, rest = path.read_text(encoding="utf-8").split(start)
    _, after = rest.split(end, 1)
    path.write_text(f"{before}{start}\n{code}\n{end}{after}", encoding="utf-8")


def fill_docstring(lines: list[str]) -> None:
    """Put AUC, balanced accuracy and time into the recipe's docstring."""
    text = RECIPE.read_text(encoding="utf-8")
    for words, name in {"AUC": "AUC", "balanced accuracy": "Balanced accuracy"}.items():
        value, interval = re.search(rf"^  {name} +(\S+) (\(.*\))$", "\n".join(lines), flags=re.M).groups()
        text, count = re.subn(
            rf"(test {words}|{words})( \S+) \(95 % [^)]*\)", rf"\g<1> {value} (95 % {interval[1:]}", text
        )
        assert count == 1, words
    folder = next(line for line in lines if line.startswith("Run folder:")).split(": ")[1]
    seconds = json.loads((ROOT / folder / "environment.json").read_text(encoding="utf-8"))["seconds"]
    text, count = re.subn(r"^Time: .*? on", f"Time: {in_time(seconds)} on", text, flags=re.M)
    assert count == 1
    RECIPE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
