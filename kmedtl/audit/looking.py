"""The images of a store as an audit looks at them, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kmedtl.data.store import Store
from kmedtl.images.placement import placement
from kmedtl.images.reading import Aspect
from kmedtl.system.progress import progress

LOOK_BATCH = 128  # images held at once


def look_at(store: Store, aspect: Aspect, title: str) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield batches in the order of `record`: images uint8 (N, size, size, C), and each without the black around it.

    Args:
        aspect: how the images lie in the store's squares.
        title: of the progress.
    """
    facts = store.facts[store.facts["record"] >= 0].sort_values("record")
    sizes = zip(facts["width"], facts["height"], strict=True)
    batches = store.images().batch(LOOK_BATCH).as_numpy_iterator()
    for images in progress(batches, title, -(-store.count // LOOK_BATCH), unit="batch"):
        # The black around images of one shape is alike in all.
        yield (
            images,
            [image[placement(*size, len(image), aspect).box] for image, size in zip(images, sizes, strict=False)],
        )
