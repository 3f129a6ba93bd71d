"""Every page, opened on a phone by a real browser: nothing is cut off, and at night nothing glares."""

import html
import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.data.corruptions import SEVERITIES
from kmedtl.ensemble import page as ensemble_page
from kmedtl.ensemble.member_comparison import MemberComparison
from kmedtl.recipe import Recipe
from kmedtl.recipe.search import Search, Span
from kmedtl.report import browser, folds, page
from kmedtl.runs import compare_page, shift_page
from kmedtl.runs.compare import compare
from kmedtl.runs.shift import Row, Shift
from kmedtl.search import page as search_page
from kmedtl.search.objective import figures_of
from kmedtl.search.setting_importance import Importance
from kmedtl.statistics.confidence import Estimate
from tests.report.synthetic import report_of
from tests.runs.test_compare import write_run

WIDTH = 390
FIGURE = Estimate(0.8, 0.7, 0.9, "DeLong")
REPORT = "multi_label"
# Says of each page what is wider than the screen and in nothing that scrolls.
PROBE = """<script>
"use strict";
document.querySelectorAll("details").forEach((one) => { one.open = true; });
const scrolls = (one) => one && (/auto|scroll/.test(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
const cut = [...document.body.querySelectorAll("*")].filter((one) =>
  !one.closest("svg svg, svg *") && one.getBoundingClientRect().right > innerWidth + 1 && !scrolls(one));
const found = document.createElement("pre");
found.id = "probe";
found.textContent = JSON.stringify([innerWidth, ...cut.map((one) => one.outerHTML.slice(0, 90))]);
document.body.append(found);
</script></body>"""
FRAMES = """<!doctype html><body>{frames}<script>
const probe = (one) => one.contentDocument.getElementById("probe");
onload = () => document.querySelectorAll("iframe").forEach((one) => document.body.append(probe(one)));</script>"""


@pytest.fixture(scope="module")
def pages(trained, tmp_path_factory):
    """Name → file, of every kind of page that kmedtl writes."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"run": trained[1] / page.NAME, "audit": trained[1] / "audit.html"}
    for name, (write, file) in WRITERS.items():
        (folder / name).mkdir()
        write(folder / name)
        made[name] = folder / name / file
    return made


def write_report(folder):
    page.write(report_of(REPORT), folder)


def write_folds(folder):
    report = report_of(REPORT)
    tests = {f"a hospital with a long name {number}": report.evaluation for number in range(3)}
    folds.write(report.recipe, report.task, tests, report.evaluation, False, "2026-11-26 17:58, in 9 s", folder)


def write_comparison(folder):
    runs = [write_run(folder / name, names=name[:4]) for name in ("test-with-a-long-name", "test-2", "other")]
    compare_page.write(compare(runs), folder, "0")


def write_shift(folder):
    names = ("exposure", "blur", "gaussian_noise", "marker", "rotation")
    happened = "something that happens to films"
    figures = dict.fromkeys(("auc", "sensitivity", "specificity"), FIGURE)
    rows = [Row(name, severity, happened, figures, FIGURE) for name in names for severity in SEVERITIES]
    shift = Shift("auc", 160, 80, Row("clean", 0, "", figures, FIGURE), tuple(rows), 3, FIGURE)
    shift_page.write(shift, folder, "model.keras", report_of("binary").info, "", "0")


def write_search(folder):
    search = Search(space={"stages.0.lr": Span(1e-4, 1e-1, "log"), "head.kind": ("linear", "mlp")})
    random = np.random.default_rng(0)
    trials = pd.DataFrame({"trial": [f"{number}" for number in range(9)], "status": "completed", "failure": ""})
    trials["stages.0.lr"], trials["head.kind"] = random.uniform(1e-3, 1e-2, 9), ["linear", "mlp", "mlp"] * 3
    recipe = Recipe("lungs", schedule="untrained", search=search)
    trials = trials.assign(**{name: random.random(9) for name in figures_of(recipe)}, epochs=3, seconds=9.5)
    told = ["Best trial 3 of 9, with a line that is much longer than a phone is wide, as they are in a terminal."]
    found = Importance({"stages.0.lr": 0.7, "head.kind": 0.3}, 0.9)
    search_page.write(folder, trials, recipe, found, told, "", "3")


def write_ensemble(folder):
    report = report_of(REPORT)
    members = [MemberComparison(f"saved_models/lungs/20261126-17580{run}", "auc", FIGURE, FIGURE) for run in range(3)]
    ensemble_page.write(report.recipe, report.task, "the mean", members, report.fit, report.evaluation, "", folder)


WRITERS = {
    "report": (write_report, "report.html"),
    "folds": (write_folds, "report.html"),
    "compare": (write_comparison, "compare.html"),
    "shift": (write_shift, "shift.html"),
    "search": (write_search, "search.html"),
    "ensemble": (write_ensemble, "report.html"),
}


@pytest.mark.slow
def test_nothing_is_cut_off_on_a_phone(pages, chromium, tmp_path):
    wide = (
        f'<body><p style="width: {WIDTH + 9}px">.</p><div style="overflow: auto"><p style="width: 900px"></div></body>'
    )
    probed = [*(file.read_text(encoding="utf-8") for file in pages.values()), wide]
    probed = [re.sub("<meta http-equiv[^>]*>", "", text).replace("</body>", PROBE) for text in probed]
    style = f"border: 0; width: {WIDTH}px; height: 800px"
    frames = "".join(f'<iframe style="{style}" srcdoc="{html.escape(text)}"></iframe>' for text in probed)
    (tmp_path / "frames.html").write_text(FRAMES.format(frames=frames), encoding="utf-8")
    command = [*browser.headless(chromium, tmp_path / "profile"), "--dump-dom", (tmp_path / "frames.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=browser.SECONDS, check=True)
    found = [json.loads(html.unescape(text)) for text in re.findall('<pre id="probe">(.*?)</pre>', done.stdout, re.S)]
    assert len(found.pop()) == 2  # the width of the screen, and what is a little wider: the probe sees it
    assert dict(zip(pages, found, strict=True)) == {name: [WIDTH] for name in pages}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "compare"])
def test_no_plot_glares_on_a_dark_page(pages, name, chromium, tmp_path):
    """Pictures of patients aside, which are what they are, next to nothing is light."""
    text = re.sub(r'<img src="data:image/(jpeg|png)[^>]*>', "", pages[name].read_text(encoding="utf-8"))
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    light = {theme: share_of_light(tmp_path, chromium, theme) for theme in THEMES}
    assert light["light"] > 0.8
    assert light["dark"] < 0.1


THEMES = {"dark": 0, "light": 1}  # as Chromium counts them


def share_of_light(folder, chromium, theme):
    """Return which share of the page's pixels is light in a theme."""
    shot, size = folder / f"{theme}.png", "--window-size=900,9000"
    command = [*browser.headless(chromium, folder / theme), f"--blink-settings=preferredColorScheme={THEMES[theme]}"]
    command += [size, f"--screenshot={shot}", (folder / "page.html").as_uri()]
    subprocess.run(command, capture_output=True, timeout=browser.SECONDS, check=True)
    return (np.asarray(Image.open(shot).convert("L")) > 200).mean()
