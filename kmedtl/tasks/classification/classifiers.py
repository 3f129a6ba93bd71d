"""Classical classifiers on a frozen backbone's features: learned by scikit-learn, put back into the Keras graph.

What comes out is an ordinary model of built-in layers, so it is calibrated, exported and checked as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline as Chain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from kmedtl.data.pipeline import Pipeline
from kmedtl.data.splits import groups
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.heads.pooling import pooling_of
from kmedtl.system.progress import progress

FOLDS = 5
C = tuple(10.0**power for power in range(-5, 2))
NEIGHBOURS = (3, 5, 11, 21, 51, 101)
TEMPERATURE = 0.07  # of a neighbour's weight, as in the paper that `vote_weights` names


@dataclass(frozen=True)
class _Classifier:
    """A classifier: made of a value of its one setting and a seed; `values` are tried, the plainest first."""

    make: Callable[[float, int], ClassifierMixin]
    setting: str
    values: tuple[float, ...]


CLASSIFIERS = {
    "logistic": _Classifier(lambda c, seed: LogisticRegression(C=c, max_iter=5000), "C", C),
    "svm": _Classifier(lambda c, seed: LinearSVC(C=c, max_iter=20_000, random_state=seed), "C", C),
    "knn": _Classifier(
        lambda k, seed: KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=vote_weights),
        "k",
        NEIGHBOURS[::-1],
    ),
}


def fit_classifier(
    model: keras.Model, schedule: str, data: dict[str, Pipeline], seed: int, log: Callable[[str], None] = print
) -> keras.Model:
    """Return a model whose logits come from a classifier that was fitted to the training images as they are.

    The features are those that the model pools, standardised; of a volume the mean of those of its slices. The
    classifier's setting is the one with the best AUC in a cross-validation on the training images in which no patient
    straddles folds; `log` receives it.

    - `logistic`, `svm` (linear): scale and coefficients are folded into the model's own `logits` layer.
    - `knn`: weighted votes of the nearest training images, see `vote_weights`. With the finding's share p of the votes
      of k neighbours, the logit is that of (k·p + 1) / (k + 2), which is finite (Laplace's rule of succession). The
      model holds the features of every training image.

    Args:
        model: of one finding, with a `linear` head.
        schedule: a key of `CLASSIFIERS`.

    Raises:
        UserError: several findings, or too few patients of a class to cross-validate.
    """
    train = data["train"]
    bags, targets = train.bags, train.bags.known(train.targets)[LOGITS]
    if targets.shape[1] != 1:
        raise UserError(f"schedule {schedule}: expected one finding. Received: {targets.shape[1]}; set a stage.")
    features, labels = bags.outputs({LOGITS: features_of(model, train)})[LOGITS], targets[:, 0].astype(int)
    folds = patient_folds(labels, groups(bags.table(train.table)).to_numpy(), seed)
    value = _choose(schedule, features, labels, folds, seed, log)
    chain = make_pipeline(StandardScaler(), CLASSIFIERS[schedule].make(value, seed)).fit(features, labels)
    return _with_neighbours(model, chain, features, labels) if schedule == "knn" else _with_coefficients(model, chain)


def features_of(model: keras.Model, pipeline: Pipeline) -> np.ndarray:
    """Return what the model pools of each image, float32 (N, channels), in the order of the pipeline's table."""
    extractor = keras.Model(model.inputs, _pooled(model))
    batches = progress(pipeline.images(), "features", pipeline.steps, unit="step")
    return np.concatenate([extractor.predict_on_batch(images) for images in batches])


def _pooled(model: keras.Model) -> keras.KerasTensor:
    pooling = pooling_of(model)
    assert pooling is not None  # a linear head pools by a plain average
    return pooling.output


def patient_folds(labels: np.ndarray, patients: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training rows, validation rows) of each fold, classes by their share and patients undivided.

    There are `FOLDS`, or as many as the rarer class has patients; a fold that has one class alone is left out.

    Raises:
        UserError: fewer than two folds.
    """
    fewest = min(len(set(patients[labels == label])) for label in (0, 1))
    folds = []
    if fewest > 1:
        parts = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
        divided = parts.split(labels, labels, patients)
        folds = [(train, rest) for train, rest in divided if len(set(labels[train])) == len(set(labels[rest])) == 2]
    if len(folds) < 2:
        raise UserError(
            "training images: expected enough patients of each class for two folds of a cross-validation. Received: "
            f"{fewest} of the rarer class; add patients, or use schedule=linear_probe."
        )
    return folds


def vote_weights(distances: np.ndarray) -> np.ndarray:
    """Return exp(similarity / 0.07) of cosine distances, up to a factor that cancels among a query's neighbours.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination (2018), section 3.4.
    """
    return np.exp((distances.min(axis=1, keepdims=True) - distances) / TEMPERATURE)


def _choose(
    schedule: str,
    features: np.ndarray,
    labels: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
    log: Callable[[str], None],
) -> float:
    """Return the value of the classifier's setting that cross-validates best; of equals the plainest."""
    kind, smallest = CLASSIFIERS[schedule], min(len(train) for train, _ in folds)
    values = [value for value in kind.values if schedule != "knn" or value <= smallest]
    scores = {}
    for value in progress(values, f"{schedule}, cross-validation", unit=kind.setting):
        chain = make_pipeline(StandardScaler(), kind.make(value, seed))
        scores[value] = cross_val_score(chain, features, labels, cv=folds, scoring="roc_auc").mean()
    best = max(scores, key=scores.__getitem__)
    log(
        f"Classifier {schedule} on {features.shape[1]} features of {len(labels)} training images: {kind.setting}="
        f"{best:g} of {min(values):g}–{max(values):g}, AUC {scores[best]:.3f} in {len(folds)} folds by patient"
    )
    return best


def _with_coefficients(model: keras.Model, chain: Chain) -> keras.Model:
    """Set the model's last layer to wᵀ(x − mean) / scale + b, and return the model."""
    scaler, linear = chain
    kernel = linear.coef_[0] / scaler.scale_
    model.get_layer(LOGITS).set_weights([kernel[:, None], linear.intercept_ - scaler.mean_ @ kernel])
    return model


def _with_neighbours(model: keras.Model, chain: Chain, features: np.ndarray, labels: np.ndarray) -> keras.Model:
    """Return a model in which similarity to every training image is a layer, and their labels an embedding."""
    scaler, nearest = chain
    count, k = len(labels), nearest.n_neighbors
    standard = layers.Normalization(mean=scaler.mean_, variance=scaler.scale_**2, name="knn_standard")
    similarity = layers.Dense(count, use_bias=False, name="knn_similarity")
    label = layers.Embedding(count, 1, name="knn_label")

    unit = layers.UnitNormalization(name="knn_unit")(standard(_pooled(model)))
    closest, which = keras.ops.top_k(similarity(unit), k)
    weights = layers.Softmax(name="knn_weights")(layers.Rescaling(1 / TEMPERATURE, name="knn_sharpen")(closest))
    share = layers.Dot(axes=1, name="knn_share")([weights, layers.Reshape((k,), name="knn_votes")(label(which))])
    finding = layers.Rescaling(k / (k + 2), 1 / (k + 2), name="knn_finding")(share)
    other = layers.Rescaling(-1, 1, name="knn_other")(finding)
    logits = layers.Subtract(name=LOGITS)([keras.ops.log(finding), keras.ops.log(other)])

    known = scaler.transform(features)
    similarity.set_weights([(known / np.linalg.norm(known, axis=1, keepdims=True)).T])
    label.set_weights([labels[:, None].astype(np.float32)])
    return keras.Model(model.inputs, {LOGITS: logits}, name=model.name)
