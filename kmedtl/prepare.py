"""From a source to audited images: what `kmedtl run`, `search` and `audit` have in common."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kmedtl.audit.audit import Audit, audit
from kmedtl.data import sources, store
from kmedtl.data.manifest import Manifest
from kmedtl.data.store import Store
from kmedtl.errors import UserError
from kmedtl.evaluate.subgroups import check_columns
from kmedtl.recipe import Data, Recipe

SHOWN = 3  # pairs of images that a message names


@dataclass(frozen=True)
class Prepared:
    """A source, looked at.

    Attributes:
        manifest: every image that the source lists.
        store: the pixels of those that could be read.
        audit: what is in them.
        table: the manifest's rows of readable images, with `record` and `twin`; not divided into splits yet.
    """

    manifest: Manifest
    store: Store
    audit: Audit
    table: pd.DataFrame


def prepare(data: Data, seed: int) -> Prepared:
    """List, decode and audit what a recipe's `data` asks for.

    Raises:
        UserError: a source that cannot be used; leakage is reported, not refused.
    """
    manifest = sources.load(data, seed)
    images = store.prepare(manifest.table, data.reading)
    return Prepared(manifest, images, *audit(manifest, images, data.max_unreadable, seed, data.same_patients))


def refuse(data: Prepared, recipe: Recipe) -> None:
    """Refuse what would be trained in vain.

    Raises:
        UserError: groups that are none, leakage, certain or suspected, that the recipe does not allow.
    """
    source, suspected = data.manifest.source, data.audit.suspected_leaks
    leaks = [pair for pair in data.audit.leaks if pair not in suspected]
    check_columns(data.manifest.table, recipe.evaluation.groups)
    if leaks and not recipe.data.allow_leakage:
        raise UserError(
            f"{source}: patients or pictures in two of its splits: {len(leaks)}, first: "
            f"{' and '.join(leaks[0])}; the test would measure memory. Move them to one split, empty the split column, "
            "or say --set data.allow_leakage=true; `kmedtl audit` shows them all."
        )
    if suspected and not recipe.data.allow_leakage:
        first = "; ".join(" and ".join(pair) for pair in suspected[:SHOWN])
        raise UserError(
            f"{source}: patients in two of its splits whose ids differ only in spelling: {len(suspected)}, first: "
            f"{first}; if they are one, the test would measure memory. Move them to one split, or, if they are "
            "different people, say --set data.same_patients=false; `kmedtl audit` shows them all."
        )
