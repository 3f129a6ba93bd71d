"""Names that tell nobody who the patient is, yet stay the same from run to run: keyed hashes (HMAC-SHA-256).

The key is this user's salt. Without it, a hash of a short hospital number would be undone by trying all numbers.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from pathlib import Path

import pandas as pd

from kmedtl.errors import UserError
from kmedtl.files.cache import cache_folder
from kmedtl.images.file_kinds import SUFFIXES
from kmedtl.system.home import expanded, home

FORM = re.compile(r"p-[0-9a-f]{16}")  # a collision among a million names has a chance of 3 in 10^8


def pseudonym(name: str) -> str:
    """Return what stands for `name`: the same for the same salt; a pseudonym stays what it is.

    Raises:
        UserError: the salt can neither be read nor made.
    """
    if FORM.fullmatch(name):
        return name
    return f"p-{hmac.new(_salt(), name.encode(errors='surrogateescape'), hashlib.sha256).hexdigest()[:16]}"


def hide_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest's table with pseudonyms for `patient`, after the split, which must not depend on a salt."""
    names = {patient: pseudonym(patient) for patient in table["patient"].unique()}
    return table.assign(patient=table["patient"].map(names))


def hide_file(path: str, name: str) -> tuple[str, str]:
    """Return an id and a path that tell nothing of a file: pseudonyms of `name` and of `path`, the latter a link.

    Archives name their files and folders by patients and UIDs. The link lies in the cache folder and points at the
    file, so the one who may read it can still find it.

    Raises:
        UserError: the cache folder cannot be written.
    """
    if FORM.fullmatch(Path(path).stem):
        return name, path  # hidden already: a manifest that kmedtl wrote
    suffix = Path(path).suffix.lower()  # of a file that is called by its UID, a part of that
    link = cache_folder() / "dicom" / f"{pseudonym(path)}{suffix if suffix in SUFFIXES else '.dcm'}"
    try:
        if not (link.is_symlink() and os.readlink(link) == path):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.parent.chmod(0o700)  # the links point to names of patients
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    except FileExistsError:
        pass  # another run made the same link just now
    except OSError as error:
        raise UserError(f"{link}: cannot be written ({error.strerror}); set KMEDTL_CACHE to a folder.") from None
    return f"{pseudonym(name)}.dcm", str(link)


def _salt() -> bytes:
    """Return `$KMEDTL_SALT`, else this user's own, made at random on first use."""
    if "KMEDTL_SALT" in os.environ:
        salt = os.environ["KMEDTL_SALT"].encode()
        if not salt:
            raise UserError("KMEDTL_SALT: is set, but empty; set it to a secret text, or unset it.")
        return salt
    if "XDG_CONFIG_HOME" not in os.environ and home() is None:
        raise UserError("KMEDTL_SALT: no home folder to keep the salt of the pseudonyms in; set it to a secret text.")
    return _own_salt(expanded(os.environ.get("XDG_CONFIG_HOME", "~/.config")) / "kmedtl" / "salt")


@functools.cache
def _own_salt(path: Path) -> bytes:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent) as made:  # nobody else may read it
                made.write(secrets.token_hex(32).encode())
                made.flush()
                with contextlib.suppress(FileExistsError):  # of two first runs, one makes it
                    os.link(made.name, path)
        salt = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: the salt of the pseudonyms cannot be kept ({error.strerror}); set KMEDTL_SALT to a secret text."
        ) from None
    if not salt:
        raise UserError(f"{path}: the salt of the pseudonyms is empty; remove the file, and a new one is made.")
    return salt
