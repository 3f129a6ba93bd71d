"""A browser that is installed here prints the page: Chromium or Chrome, without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.system.progress import progress

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 120  # a page of 8 MB takes a few


def find(wanted: Path | None = None) -> Path:
    """Return the browser: the wanted one, or the first of `NAMES` that is installed.

    Raises:
        UserError: there is none.
    """
    for name in [str(wanted)] if wanted else NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    missing = f"{wanted} is no program" if wanted else f"none of {', '.join(NAMES)} is installed"
    raise UserError(
        f"--pdf: expected Chromium or Chrome; {missing}. Install it (Debian: apt-get install chromium), name it by "
        "--browser, or print report.html from any browser."
    )


def headless(browser: Path, profile: Path) -> list[str]:
    """Return the beginning of a command that opens a page without a window and without a network.

    Args:
        profile: an empty folder, so that neither the user's settings nor a browser that is open have a part in it.
    """
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root Chromium refuses to start with one
    quiet = ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
    return [str(browser), "--headless", f"--user-data-dir={profile}", *quiet, *sandbox]


def print_pdf(page: Path, out: Path, browser: Path) -> None:
    """Print an HTML file to a PDF, the whole or nothing.

    Raises:
        UserError: the browser fails, or `out` cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder, progress(total=1, title="Printing", unit="page") as bar:
        printed = Path(folder) / "page.pdf"
        command = [*headless(browser, Path(folder) / "profile"), "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
        try:
            done = subprocess.run(
                [*command, page.resolve().as_uri()], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"--pdf: {browser} did not print {page} ({error}); try another by --browser.") from None
        if not printed.is_file() or not printed.read_bytes().startswith(b"%PDF"):
            message = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UserError(f"--pdf: {browser} printed nothing of {page} ({message}); try another by --browser.")
        bar.update()
        try:
            shutil.move(printed, out)
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror}); choose another --out.") from None
