"""From a source to audited images: what `kmedtl run` and `kmedtl audit` have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from kmedtl.audit.audit import Audit, audit
from kmedtl.data import sources, splits, store
from kmedtl.data.manifest import Manifest
from kmedtl.data.store import Store
from kmedtl.recipe import Data


@dataclass(frozen=True)
class Prepared:
    """A source, looked at.

    Attributes:
        table: the manifest's readable images, with `record` and `twin`; not divided yet.
    """

    manifest: Manifest
    images: Store
    findings: Audit
    table: pd.DataFrame


def prepare(data: Data, seed: int) -> Prepared:
    """List, decode and audit what a recipe's `data` asks for.

    Raises:
        UserError: a source that cannot be used; leakage is reported, not refused.
    """
    manifest = sources.load(data, seed)
    if data.limit:
        kept = splits.limit(manifest.table, data.limit, seed)
        manifest = replace(manifest, table=kept, set_aside=len(manifest.table) - len(kept))
    images = store.prepare(manifest.table, data.reading)
    findings, table = audit(manifest, images, data.max_unreadable, seed)
    return Prepared(manifest, images, findings, table)
