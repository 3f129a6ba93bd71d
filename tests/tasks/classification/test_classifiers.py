import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from kmedtl.data import splits
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.export.formats import write_all
from kmedtl.export.runtimes import open_runtime
from kmedtl.recipe import CLASSIFIERS, Backbone, Head
from kmedtl.runs.prepare import prepare
from kmedtl.tasks.classification.classifiers import CLASSIFIERS as FITTED
from kmedtl.tasks.classification.classifiers import features_of, fit_classifier, patient_folds, vote_weights
from kmedtl.tasks.classification.network import NETWORK
from tests.models import build_classifier, double, labels_of

BACKBONE = Backbone("EfficientNetLite0", truncate_at="block2")


@pytest.fixture(scope="module")
def data(small_recipe):
    found = prepare(small_recipe.data, small_recipe.seed)
    table = splits.split(found.manifest, found.table, 0.2, 0.2, seed=0)
    return pipelines(found.store, table, 16, labels_of(found.manifest))


@pytest.fixture
def model():
    return build_classifier(BACKBONE, Head(), 64, 1, findings=1)


def logits_of(model, pipeline):
    return model.predict(pipeline.images(), verbose=0)[LOGITS]


def scikit_learn(schedule, setting, features, labels, queries):
    """Return scikit-learn's own logits of the queries."""
    if schedule == "knn":
        chosen = KNeighborsClassifier(int(setting), metric="cosine", algorithm="brute", weights=vote_weights)
    else:
        chosen = {"logistic": LogisticRegression(C=setting, max_iter=5000), "svm": LinearSVC(C=setting, random_state=3)}
        chosen = chosen[schedule]
    fitted = make_pipeline(StandardScaler(), chosen).fit(features, labels)
    if schedule != "knn":
        return fitted.decision_function(queries)
    share = (setting * fitted.predict_proba(queries)[:, 1] + 1) / (setting + 2)
    return np.log(share / (1 - share))


def test_every_classifier_of_a_recipe_is_there():
    assert set(NETWORK.closed_form) == set(CLASSIFIERS)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", FITTED)
def test_the_graph_answers_as_scikit_learn_and_so_does_every_file(schedule, model, data, tmp_path):
    train, test = features_of(model, data["train"]), features_of(model, data["test"])
    said = []
    fitted = fit_classifier(model, schedule, data, seed=3, log=said.append)
    setting = float(said[0].partition(f"{FITTED[schedule].setting}=")[2].split()[0])
    logits = logits_of(fitted, data["test"])
    assert logits.shape == (len(test), 1)
    expected = scikit_learn(schedule, setting, train, data["train"].targets[LOGITS][:, 0].astype(int), test)[:, None]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    int8 = np.ptp(expected) / 2  # eight bits of a few narrow layers, and neighbours' weights that magnify them
    for path in write_all(fitted, tmp_path, data["train"].pixels()):
        tolerance = int8 if "int8" in path.name else 1e-3
        answers = open_runtime(path)(data["test"].pixels())[LOGITS]
        np.testing.assert_allclose(answers, expected, atol=tolerance, err_msg=path.name)


def test_a_feature_that_never_varies_in_training_counts_for_nothing(data):
    model = build_classifier(Backbone("EfficientNetLite0", truncate_at="block1"), Head(), 64, 1, findings=1)
    *_, last = (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    scale, offset, *statistics = last.get_weights()
    last.set_weights([np.r_[0.0, scale[1:]], offset, *statistics])
    assert features_of(model, data["train"])[:, 0].std() < 1e-6
    fitted = fit_classifier(model, "knn", data, 3, lambda text: None)
    before = logits_of(fitted, data["test"])
    last.set_weights([np.r_[0.001, scale[1:]], offset, *statistics])
    np.testing.assert_allclose(logits_of(fitted, data["test"]), before, atol=0.1)


def test_no_patient_straddles_the_folds():
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), random.integers(1, 5, 60))
    labels = (patients % 3 == 0).astype(int)
    folds = patient_folds(labels, patients, seed=1)
    assert len(folds) == 5
    for train, rest in folds:
        assert not set(patients[train]) & set(patients[rest])
        assert set(labels[train]) == set(labels[rest]) == {0, 1}
    assert sorted(np.concatenate([rest for _, rest in folds])) == list(range(len(labels)))


def test_one_patient_of_a_class_cannot_be_cross_validated(model, data):
    whole = data["train"].table
    sick = whole[whole["label"] == 1]
    rows = whole.index[(whole["label"] == 0) | (whole["patient"] == sick["patient"].iloc[0])]
    targets = {LOGITS: data["train"].targets[LOGITS][rows]}
    few = Pipeline(data["train"].store, whole.loc[rows].reset_index(drop=True), targets, 16)
    with pytest.raises(UserError, match="Received: 1 of the rarer class"):
        fit_classifier(model, "logistic", data | {"train": few}, seed=1)


def test_several_findings_are_refused(data):
    model = build_classifier(BACKBONE, Head(), 64, 1, findings=2)
    train = data["train"]
    two = Pipeline(train.store, train.table, double(train).targets, 16)
    with pytest.raises(UserError, match="expected one finding"):
        fit_classifier(model, "svm", {"train": two}, seed=1)


def test_the_graph_loads_in_safe_mode_and_is_made_of_built_in_layers(model, data, tmp_path):
    fitted = fit_classifier(model, "knn", data, seed=3, log=lambda text: None)
    fitted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(logits_of(loaded, data["test"]), logits_of(fitted, data["test"]))
