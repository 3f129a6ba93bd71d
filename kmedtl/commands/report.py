"""`kmedtl report`: where a run's report is, or the report as a PDF."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmedtl.commands.checks import check_run
from kmedtl.errors import UserError

HELP = "say where a run's report is, or print it as a PDF"
PAGE, CARD = "report.html", "model_card.md"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder")
    parser.add_argument("--pdf", action="store_true", help="print it with Chromium or Chrome, if one is installed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the PDF (default: RUN/report.pdf)")
    parser.add_argument("--browser", type=Path, metavar="PATH", help="which Chromium or Chrome")


def command(options: argparse.Namespace) -> int:
    check_run(options.run)
    page, card = options.run / PAGE, options.run / CARD
    if not page.is_file():
        raise UserError(f"{options.run}: expected a run folder; {page} is not there.")
    if (options.out or options.browser) and not options.pdf:
        raise UserError("--out and --browser are of the PDF; add --pdf.")
    print(f"Report:     {page}")
    if card.is_file():
        print(f"Model card: {card}")
    for validation in sorted(options.run.glob("*/validation.html")):
        print(f"Validation: {validation}")
    if options.pdf:
        from kmedtl.report import browser

        out = options.out or options.run / "report.pdf"
        browser.print_pdf(page, out, browser.find(options.browser))
        print(f"PDF:        {out}")
    return 0
