"""The methods of explanation, by the name that `evaluation.explain` gives them."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from kmedtl.edge import occlusion as covering
from kmedtl.explain.gradients import grad_cam, grad_cam_plus_plus, smooth_grad

Method = Callable[[keras.Model, np.ndarray, int], np.ndarray]  # model, images, finding → maps, as of `gradients`


def occlusion(model: keras.Model, images: np.ndarray, finding: int) -> np.ndarray:
    """Return how far a finding's logit falls where a place is covered; see `kmedtl.edge.occlusion`."""
    return covering.occlusion(lambda batch: model.predict_on_batch(batch.astype(np.float32)), images, finding)


METHODS: dict[str, Method] = {
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
    "smooth_grad": smooth_grad,
    "occlusion": occlusion,
}
