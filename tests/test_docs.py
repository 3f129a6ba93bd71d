"""What the pages tell a reader to type works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import kmedtl
from kmedtl import recipe as recipe_files
from kmedtl.backbones import registry
from kmedtl.cli import main, parser
from kmedtl.commands.options import configured
from kmedtl.data.corruptions import suite
from kmedtl.data.manifest import write
from kmedtl.recipes import find
from tests.conftest import of_other_people, write_image_folder
from tests.data.sources.test_dicom_tree import label, write_dicom, write_labels
from tests.data.sources.test_packed import arrays

DOCS = Path(__file__).parents[1] / "docs"


def test_commands_of_the_page_on_data_run(tmp_path, monkeypatch, capsys):
    write_image_folder(tmp_path / "films")
    for number in range(12):
        write_dicom(tmp_path / "archive" / f"study{number}" / f"IM{number}", number)
    write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(6)])
    np.savez(tmp_path / "set.npz", **arrays())
    films = enumerate(sorted((tmp_path / "films").rglob("*.png")))
    rows = "".join(f"{film.stem};{film.parent.name};{number // 2}\n" for number, film in films)
    (tmp_path / "lesions.csv").write_text(f"picture;verdict;who\n{rows}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    run_commands_of("data.md", capsys)


@pytest.mark.slow
def test_commands_of_the_page_on_robustness_run(trained, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained[1], tmp_path / "RUN")
    write_image_folder(tmp_path / "OTHER")
    write(of_other_people("phantom:30", seed=8), tmp_path / "site.csv")
    monkeypatch.chdir(tmp_path)
    run_commands_of("robustness.md", capsys)


def test_the_page_on_robustness_has_the_suites_strengths():
    page = (DOCS / "robustness.md").read_text().partition("## The corruptions")[2]
    for name, corruption in suite().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f" {corruption.at(3)} |" in row
        assert row.endswith(f"| {', '.join(f'{strength:g}' for strength in corruption.strengths)} |")


def test_commands_of_the_page_on_evaluation_run(trained, tmp_path, monkeypatch, capsys):
    """What evaluates runs; what trains is parsed, and its settings make a recipe."""
    run = tmp_path / "saved_models" / "pneumonia" / "RUN"
    shutil.copytree(trained[1], run)
    table = pd.read_csv(run / "predictions.csv")
    table.assign(sex=np.where(table.index % 2, "F", "M"), age=table.index % 90).to_csv(
        tmp_path / "predictions.csv", index=False
    )
    sites = table[["id"]].assign(site=np.where(table.index % 3, "north", "south"))
    sites.to_csv(tmp_path / "manifest.csv", index=False)
    monkeypatch.chdir(tmp_path)
    run_commands_of("evaluation.md", capsys)
    assert parsed_commands_of("evaluation.md") == 1


def test_commands_of_the_page_on_transfer_are_true(trained, tmp_path, monkeypatch, capsys):
    """What compares runs; what trains is parsed, and its settings make a recipe."""
    for name in ("RUN", "OTHER"):
        shutil.copytree(trained[1], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    run_commands_of("transfer.md", capsys)
    assert parsed_commands_of("transfer.md") > 5
    imports = re.findall(r"^    kmedtl (weights import [^F].*)$", (DOCS / "transfer.md").read_text(), flags=re.M)
    assert len(imports) == 4
    for line in imports:
        options = parser().parse_args(shlex.split(line))
        assert options.backbone in registry.names()
        assert len(options.input_range) == 2


def test_commands_and_recipes_of_the_page_on_tasks_are_true(tmp_path):
    assert parsed_commands_of("tasks.md") == 7
    recipes = []
    for text in re.findall(r"```yaml\n(.*?)```", (DOCS / "tasks.md").read_text(), flags=re.S):
        (tmp_path / "recipe.yaml").write_text(text)
        recipes.append(find(tmp_path / "recipe.yaml"))
    assert [recipe.task.kind for recipe in recipes] == [
        "regression",
        "ordinal",
        "segmentation",
        "classification",
        "multi",
    ]


def test_the_recipe_of_the_page_on_training_is_one(tmp_path):
    found = []
    for text in re.findall(r"```yaml\n(.*?)```", (DOCS / "training.md").read_text(), flags=re.S):
        (tmp_path / "recipe.yaml").write_text(text)
        found.append([stage.objective for stage in find(tmp_path / "recipe.yaml").stages])
    assert found == [["supervised", "pseudo"], ["simclr", "supervised", "supervised"]]


def test_commands_of_the_page_on_volumes_are_ones_and_take_back_what_the_recipe_says_of_films():
    text = (DOCS / "volumes.md").read_text()
    assert parsed_commands_of("volumes.md") == len(re.findall(r"^    kmedtl run ", text, flags=re.M)) > 3
    commands = re.findall(r"^    kmedtl (run pneumonia .*)$", text, flags=re.M)
    assert len(commands) == 3
    for line in commands:
        options = parser().parse_args(shlex.split(line))
        data = configured(find(options.recipe), options).data
        assert (data.patient_pattern, data.classes) == ("", ())


@pytest.mark.slow
def test_the_page_on_new_recipes_leads_to_a_judged_model(tmp_path, monkeypatch, capsys):
    """Each command as it stands; what `kmedtl new` proposed is made smaller before it trains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    for arguments in commands_of("new-recipe.md"):
        if arguments[0] == "run":
            proposed = find(tmp_path / "films.yaml")
            smaller = replace(
                proposed,
                task=replace(proposed.task, alone=False),
                data=replace(proposed.data, size=64),
                backbone=replace(proposed.backbone, name="Tiny", weights="random"),
                stages=(replace(proposed.stages[0], epochs=1),),  # the second names more blocks than that has
            )
            recipe_files.write(smaller, tmp_path / "films.yaml")
        assert main(arguments) == 0, (arguments, capsys.readouterr().err)
    metrics = json.loads((tmp_path / "films" / "metrics.json").read_text())
    assert 0 <= metrics["test"][metrics["headline"]]["value"] <= 1


def test_the_notebook_carries_no_outputs():
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))  # of the kernel
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/jpeg" in output.get("data", {}) for output in shown) == 6  # two samples, each varied twice
    said = "".join(output.get("text", "") for output in shown)
    assert re.search(r"auc +0\.\d+ \(0\.", said)
    assert "report.html" in shown[-1]["data"]["text/plain"]


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=DOCS.parent, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {str(path.relative_to(tmp_path / "site")): path.read_text() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "tutorial.html", "changelog.html", "reference/data.html"} <= set(pages)
    assert "kmedtl.data.manifest.Manifest" in pages["reference/data.html"]
    for name, page in pages.items():
        assert not re.search(r"<(script|img|iframe)[^>]*src=.(https?:)?//", page), name
        assert not re.search(r"<link[^>]*(stylesheet|preconnect|font)[^>]*(https?:)?//", page), name


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 250
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert len(links) > 20
    assert [link for link in links if not (DOCS.parent / link).exists()] == []


def test_what_the_readme_prints_of_a_result_is_there(trained, capsys):
    result, _ = trained
    *_, last = re.search(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)[1].splitlines()
    exec(last, {"result": result})
    assert capsys.readouterr().out == f"{result.evaluation.estimates['auc']}\n"


def test_the_citation_has_the_fields_of_its_format_and_the_packages_version():
    cited = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    assert cited["version"] == kmedtl.__version__
    assert cited["license"] == "Apache-2.0"


def parsed_commands_of(page):
    """Parse what trains; return how many such commands there are."""
    commands = re.findall(r"^    kmedtl (run .*)$", (DOCS / page).read_text(), flags=re.M)
    for line in commands:
        options = parser().parse_args(shlex.split(line))
        configured(find(options.recipe), options)
    return len(commands)


def run_commands_of(page, capsys):
    for arguments in commands_of(page):
        assert main(arguments) == 0, (arguments, capsys.readouterr().err)


def commands_of(page):
    """Return what the page's commands give to kmedtl, a list of words each."""
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(), flags=re.S)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert commands
    assert {program for program, *_ in commands} == {"kmedtl"}
    return [arguments for _, *arguments in commands]
