"""A log beside its baseline, as JSON, a plot, a page that stands alone, and a few lines for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from kmedtl.edge.model_info import ModelInfo
from kmedtl.files import html
from kmedtl.files.json_files import write_json
from kmedtl.files.plot_style import ACCENT, SIDE, SOFT, bare
from kmedtl.runs.drift import Drift, Window

ALARM = "#c0392b"


def write(found: Drift, folder: Path, model: str, info: ModelInfo, notice: str, version: str) -> None:
    """Write `drift.json`, `plots/` and the self-contained `drift.html` into `folder`.

    Args:
        model: which file wrote the log.
        notice: the mark of synthetic images; empty: none are.
    """
    document = {
        "model": model,
        "baseline": found.baseline.what,
        "window": found.size,
        "false_alarms": found.rate,
        "errors": found.errors,
        "left_over": found.left_over,
        "synthetic": bool(notice),
        "windows": [asdict(window) for window in found.windows],
    }
    write_json(folder / "drift.json", document)
    html.write(
        folder / "drift.html",
        Path(__file__).with_name("drift.html"),
        plots=html.save_plots({"drift": _drawn(found)}, folder / "plots"),
        drift=found,
        words=_in_words(found),
        model=model,
        info=info,
        span=span,
        notice=notice,
        version=version,
    )


def summary(found: Drift) -> list[str]:
    """Return what a person reads in the terminal."""
    return [
        f"{len(found.windows)} windows of {found.size} answers beside {found.baseline.what}; "
        f"of {1 / found.rate:.0f} windows without drift one is an alarm",
        *([f"{found.errors} lines without an answer were left out"] if found.errors else []),
        *([f"{found.left_over} answers at the end make no window yet"] if found.left_over else []),
        *(f"ALARM: window {window.number} ({span(window)}): {window.alarm}" for window in found.alarms),
        *([] if found.alarms else ["No alarm"]),
    ]


def span(window: Window) -> str:
    """Return which answers a window holds, and when they were given."""
    when = f", {window.start} to {window.end}" if window.start else ""
    return f"answers {window.first}–{window.last}{when}"


def _in_words(found: Drift) -> str:
    numbers = ", ".join(str(window.number) for window in found.alarms) or "none"
    return f"Scores and share of unlike images by window beside {found.baseline.what}; windows with an alarm: {numbers}"


def _drawn(found: Drift) -> Figure:
    """Draw quantiles of the scores and the share of unlike images against the window; alarms are marked."""
    figure = Figure(figsize=(2 * SIDE, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    numbers = [window.number for window in found.windows]
    if found.baseline.quantiles:
        low, _, middle, _, high = found.baseline.quantiles
        above.axhspan(low, high, color=SOFT, alpha=0.15, linewidth=0)
        above.axhline(middle, color=SOFT, linewidth=1, linestyle="--")
        for place, width in enumerate((0.8, 0.8, 2.0, 0.8, 0.8)):
            above.plot(numbers, [window.quantiles[place] for window in found.windows], color=ACCENT, linewidth=width)
    above.set_ylabel(f"log-odds of {found.finding}" if found.finding else "no score")
    below.plot(numbers, [window.unlike for window in found.windows], color=ACCENT, marker="o", markersize=3)
    if found.baseline.of:
        below.axhline(found.baseline.unlike / found.baseline.of, color=SOFT, linewidth=1, linestyle="--")
    below.set_ylabel("unlike training")
    below.set_xlabel("window")
    below.set_ylim(bottom=0)
    for axes in (above, below):
        for window in found.alarms:
            axes.axvline(window.number, color=ALARM, linewidth=1, alpha=0.6)
        bare(axes)
    return figure
