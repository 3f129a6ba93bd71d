"""Which pictures two sources have in common, whatever saving or scaling has done to them since."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kmedtl.audit.looking import look_at
from kmedtl.audit.near_duplicates import fingerprint, near_duplicates
from kmedtl.data.store import Store
from kmedtl.images.reading import Aspect

Looked = tuple[pd.DataFrame, Store]  # readable images with `record`, `twin` and `poor`, as of `audit`, and their pixels


def common_pictures(first: Looked, second: Looked, aspect: Aspect, drawn: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each row of both tables, int (N,) and (M,): rows that show the same picture share it.

    They do where their files are the same, byte for byte, or their detail (`near_duplicates`), or where a chain of such
    links them, through images of either source; constant images are linked to nothing.

    Args:
        aspect: how the images lie in the stores' squares.
        drawn: synthetic images are among them, which are too poor in detail to be compared by it: files alone are.
    """
    tables = [first[0], second[0]]
    own = [pd.factorize(table["twin"])[0] for table in tables]
    twins = np.concatenate([own[0], own[1] + len(own[0])])  # numbers that no two rows of different sources share
    contents = np.concatenate([_contents(table, store) for table, store in (first, second)])
    same = pd.factorize(contents)[0] + len(twins)
    pairs = [] if drawn else near_duplicates(np.concatenate([_prints(*one, aspect) for one in (first, second)]))
    ends = np.array(pairs, int).reshape(-1, 2)
    starts, others = np.concatenate([twins, twins[ends[:, 0]]]), np.concatenate([same, twins[ends[:, 1]]])
    links = coo_array((np.ones(len(starts)), (starts, others)), shape=(2 * len(twins),) * 2)
    found = connected_components(links, directed=False)[1][twins]
    return found[: len(own[0])], found[len(own[0]) :]


def _contents(table: pd.DataFrame, store: Store) -> np.ndarray:
    """Return what tells whether two files are the same, object (N,)."""
    digests = store.facts.set_index("record").loc[table["record"], "sha256"].to_numpy(object)
    places = table["path"] + "#" + table["frame"]
    return np.where((table["poor"] != "constant").to_numpy(), digests, places.to_numpy(object))


def _prints(table: pd.DataFrame, store: Store, aspect: Aspect) -> np.ndarray:
    prints = [fingerprint(inner) for _, inner in look_at(store, aspect, "Comparing images")]
    return np.concatenate(prints)[table["record"]]
