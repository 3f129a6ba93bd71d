"""A real browser opens the page; a script that only the tests know moves the slider and writes down what it shows."""

import html
import json
import re
import subprocess

import pandas as pd
import pytest

from kmedtl.files.digits import in_digits
from kmedtl.report import browser, page
from tests.report.synthetic import KINDS, report_of

PROBE = """
<script>
"use strict";
const figures = ["sensitivity", "specificity", "ppv", "npv", "ppv-elsewhere", "npv-elsewhere"];
const names = ["value", ...figures, "tp", "fp", "fn", "tn"];
const at = (name) => document.getElementById(`slider-${name}`);
const shown = () => Object.fromEntries(names.map((name) => [name, at(name).textContent]));
function set(name, value, event) {
  at(name).value = value;
  at(name).dispatchEvent(new Event(event));
  return { ...shown(), spoken: at("threshold").getAttribute("aria-valuetext") };
}
const root = document.documentElement, slider = document.getElementById("slider"), seen = {};
if (slider && !slider.hidden) {
  seen.start = shown();
  const last = Number(at("threshold").max);
  seen.moved = set("threshold", Math.floor(last / 3), "input");
  seen.highest = set("threshold", last, "input");
  at("back").click();
  seen.back = shown();
  seen.rare = set("prevalence", 1, "input");
  if (at("finding")) seen.other = set("finding", 1, "change");
}
seen.contents = document.getElementById("contents").open;
const picture = document.querySelector(".case img");
const across = () => picture && picture.getBoundingClientRect().width;
seen.picture = [across()];
document.querySelectorAll("details").forEach((one) => { one.open = true; });
seen.picture.push(across());
seen.width = [innerWidth, root.scrollWidth];
const fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
seen.fetched = fetched.filter((name) => !name.startsWith("data:"));
const written = document.createElement("pre");
written.id = "probe";
written.textContent = JSON.stringify(seen);
document.body.append(written);
</script>
"""
# No window is as narrow as a phone, a frame may be.
FRAME = """<!doctype html><iframe style="border: 0; width: {width}px; height: 800px" srcdoc="{probed}"></iframe>
<script>onload = () => document.body.append(frames[0].document.getElementById("probe"));</script>"""


def looked_at(report, chromium, folder, width=1000):
    """Return what the probe saw on a copy of the page, in a frame so wide in pixels, and the browser's complaints."""
    probed = html.escape(report.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"))
    copy = folder / "probed.html"
    copy.write_text(FRAME.format(width=width, probed=probed), encoding="utf-8")
    command = [*browser.headless(chromium, folder / "profile"), "--enable-logging=stderr", "--hide-scrollbars"]
    command += ["--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=browser.SECONDS, check=True)
    (written,) = re.findall(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.S)
    return json.loads(html.unescape(written)), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def interval(figure):
    value, low, high = (in_digits(figure[name]) for name in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


@pytest.fixture(scope="module")
def seen(trained, chromium, tmp_path_factory):
    return looked_at(trained[1] / page.NAME, chromium, tmp_path_factory.mktemp("browser"))


def test_the_slider_starts_with_the_numbers_of_metrics_json(seen, trained):
    start, metrics = seen[0]["start"], json.loads((trained[1] / "metrics.json").read_text())
    assert float(start["value"]) == pytest.approx(metrics["operating_point"]["threshold"], abs=5e-4)
    for name in ("sensitivity", "specificity", "ppv", "npv"):
        assert start[name] == interval(metrics["test"][name])
    assert {name: int(start[name]) for name in ("tn", "fp", "fn", "tp")} == metrics["test"]["confusion"]


def test_a_moved_slider_counts_what_predictions_csv_says(seen, trained):
    moved, table = seen[0]["moved"], pd.read_csv(trained[1] / "predictions.csv")
    assert moved["value"] != seen[0]["start"]["value"]
    table = table[table["split"] == "test"]
    # The page shows three digits; the threshold itself is the observed probability nearest to them.
    threshold = min(table["probability"], key=lambda value: abs(value - float(moved["value"])))
    called, truth = table["probability"] >= threshold, table["label"] == 1
    tp, fp = (called & truth).sum(), (called & ~truth).sum()
    assert [int(moved[name]) for name in ("tp", "fp")] == [tp, fp]
    shares = {"sensitivity": tp / truth.sum(), "specificity": 1 - fp / (~truth).sum(), "ppv": tp / (tp + fp)}
    assert {name: moved[name].split()[0] for name in shares} == {
        name: in_digits(share) for name, share in shares.items()
    }
    assert moved["spoken"].startswith(f"{moved['value']}: sensitivity {in_digits(shares['sensitivity'])}")


def test_the_slider_comes_back_and_reckons_with_a_prevalence(seen):
    found, _ = seen
    assert found["back"] == found["start"]
    sensitivity, specificity = (float(found["start"][name].split()[0]) for name in ("sensitivity", "specificity"))
    ppv = 0.01 * sensitivity / (0.01 * sensitivity + 0.99 * (1 - specificity))
    assert float(found["rare"]["ppv-elsewhere"].split()[0]) == pytest.approx(ppv, abs=2e-3)
    assert "name a prevalence" in found["start"]["ppv-elsewhere"]


def test_nothing_is_fetched_and_nothing_complained_of(seen):
    found, complaints = seen
    assert found["fetched"] == complaints == []


def test_an_explained_case_opens_to_a_larger_view(seen):
    folded, opened = seen[0]["picture"]
    assert opened > 2 * folded


def test_the_contents_are_folded_on_a_phone_alone(seen, trained, chromium, tmp_path):
    assert seen[0]["contents"]
    assert not looked_at(trained[1] / page.NAME, chromium, tmp_path, width=390)[0]["contents"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_page_is_wider_than_a_phone(kind, chromium, tmp_path):
    """Every section is opened; of many findings each has its own thresholds."""
    page.write(report_of(kind), tmp_path)
    found, complaints = looked_at(tmp_path / page.NAME, chromium, tmp_path, width=400)
    assert found["width"] == [400, 400]
    assert complaints == []
    assert ("start" in found) == (kind != "multi_class")
    if kind == "multi_label":
        report = report_of(kind)
        figures = report.evaluation.by[report.evaluation.details.test.findings[1]]
        assert found["other"]["sensitivity"] == str(figures["sensitivity"])
        test, at_prevalence = report.evaluation.details.test, report.evaluation.details.at_prevalence
        ppv, npv = at_prevalence[test.findings[0]]
        assert found["start"]["ppv-elsewhere"].split()[0] == in_digits(ppv.value)
        assert found["start"]["npv-elsewhere"].split()[0] == in_digits(npv.value)
