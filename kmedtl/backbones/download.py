"""Fetch one file, or fail within seconds."""

from __future__ import annotations

import http.client
import os
import queue
import shutil
import threading
import urllib.request
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError
from kmedtl.system.progress import bars

PATIENCE = 8.0  # seconds for the first answer, and then for each further piece


def download(url: str, path: Path) -> None:
    """Copy `url` to `path`, which is complete or absent, with a progress bar.

    Raises:
        UserError: no answer within `PATIENCE`, a refusal, or a connection that breaks off.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open(url) as response, part.open("wb") as file:
            size = int(response.headers["Content-Length"] or 0)
            with bars().wrapattr(response, "read", total=size, desc=path.name, leave=False) as reader:
                shutil.copyfileobj(reader, file)
        if part.stat().st_size != size:
            raise ConnectionError(f"{part.stat().st_size} bytes came of {size} announced")
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"no download ({getattr(error, 'reason', error)})") from None
    finally:
        part.unlink(missing_ok=True)


def _open(url: str) -> http.client.HTTPResponse:
    """Open `url` in a thread: a socket's timeout bounds neither the name look-up nor its tries together."""
    answer: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answer.put(urllib.request.urlopen(url, timeout=PATIENCE))
        except (OSError, http.client.HTTPException) as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        response = answer.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError(f"no answer in {PATIENCE:.0f} s") from None
    if isinstance(response, Exception):
        raise response
    return response
