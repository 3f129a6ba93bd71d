"""`kmedtl report`: where a run's report is, or the report as a PDF."""

from __future__ import annotations

import argparse

from kmedtl.errors import UserError
from kmedtl.report import browser

PAGE, CARD = "report.html", "model_card.md"


def command(options: argparse.Namespace) -> int:
    page, card = options.run / PAGE, options.run / CARD
    if not page.is_file():
        raise UserError(f"{options.run}: expected a run folder; {page} is not there.")
    if (options.out or options.browser) and not options.pdf:
        raise UserError("--out and --browser are of the PDF; add --pdf.")
    print(f"Report:     {page}")
    if card.is_file():
        print(f"Model card: {card}")
    if options.pdf:
        out = options.out or options.run / "report.pdf"
        browser.print_pdf(page, out, browser.find(options.browser))
        print(f"PDF:        {out}")
    return 0
