import keras_tuner
import pytest

from kmedtl.errors import UserError
from kmedtl.recipe.search import Search, Span, parse
from kmedtl.search.oracles import oracle_of
from kmedtl.search.space import cached_stages, check, declare, recipe_of, space_of, tier_of
from tests.search.conftest import searched


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("log 1e-4..1e-2", Span(1e-4, 1e-2, "log")),
        ("0..0.5", Span(0, 0.5)),
        ("linear 2 .. 8", Span(2, 8)),
        ("-1.5..+2.", Span(-1.5, 2)),
    ],
)
def test_a_compact_range_is_a_span(text, span):
    assert parse("head.dropout", text) == span


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("{stages.0.lrr: 0..1}", ["stages.0.lrr", "Did you mean 'stages.0.lr'?"]),
        ("{data.size: [32, 64]}", ["data.size", "a search may vary"]),
        ("{stages.7.lr: 0..1}", ["stages.7.lr", "Did you mean 'stages.1.lr'?"]),
        ("{stages.0.lr: log 1e-2..1e-4}", ["min is below its max", "0.01..0.0001"]),
        ("{stages.0.lr: log 0..1}", ["log range above 0"]),
        ("{stages.0.lr: 1e-3 to 1e-2}", ["stages.0.lr", "log 1e-4..1e-2", "1e-3 to 1e-2"]),
        ("{head.kind: []}", ["head.kind", "one choice or more"]),
        ("{head.kind: [linear, linear]}", ["head.kind", "distinct"]),
        ("{head.kind: [linear, 3]}", ["head.kind", "of one kind"]),
        ("{head.kind: [linear, mpl]}", ["head.kind", "Did you mean 'mlp'?"]),
        ("{head.dropout: 0..1}", ["head.dropout", "below 1"]),
        ("{stages.1.train: ['last:1', 'blok2']}", ["blok2", "Did you mean 'block2'?"]),
        ("{head.dropout: {min: 0, max: 0.5, scle: log}}", ["scle", "Did you mean 'scale'?"]),
        ("3", ["search.space", "values by name"]),
    ],
)
def test_a_space_that_cannot_be_is_refused(space, words):
    with pytest.raises(UserError) as error:
        check(searched(f"search.space={space}"))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("search.objective=val_acu", ["val_acu", "Did you mean 'val_auc'?"]),
        ("search.tuner=grit", ["Did you mean 'grid'?"]),
        ("search.trials=0", ["search.trials", "at least 1"]),
        ("search.folds=1", ["search.folds", "2 to 100"]),
        ("data.folds=3", ["data.folds", "--folds"]),
        ("search.tier=head", ["worst_shift", "search.tier=full"]),
    ],
)
def test_settings_of_a_search_that_cannot_be_are_refused(setting, words):
    before = ["training.select=worst_shift"] if setting == "search.tier=head" else []
    with pytest.raises(UserError) as error:
        check(searched(*before, setting))
    assert all(word in str(error.value) for word in words), error.value


def test_a_schedule_has_nothing_to_vary_yet():
    with pytest.raises(UserError, match=r"recipe\.yaml"):
        check(searched("stages=[]", "schedule=auto"))


@pytest.mark.parametrize(
    ("space", "tier"),
    [
        ("{}", "head"),
        ("{stages.0.lr: log 1e-4..1e-2, head.kind: [linear, attention_pool], data.augment: [none, xray]}", "head"),
        ("{stages.0.train: [head, 'last:1']}", "full"),
        ("{stages.1.lr: log 1e-4..1e-2}", "full"),
        ("{backbone.name: [MobileNet, EfficientNetLite0]}", "full"),
    ],
)
def test_what_varies_decides_how_much_a_trial_trains(space, tier):
    assert tier_of(searched(f"search.space={space}")) == tier


def test_only_stages_of_one_kind_of_features_share_them():
    twice = "stages=[{name: a, train: head, epochs: 1, lr: 1e-2}, {name: b, train: head, epochs: 1, lr: 1e-3%s}]"
    assert len(cached_stages(searched(twice % ""))) == 2
    assert len(cached_stages(searched(twice % ", mix: mixup"))) == 1
    assert cached_stages(searched("training.select=worst_shift")) == ()


def test_the_default_space_holds_the_recipe_itself():
    recipe = searched()
    values = oracle_of(recipe).populate_space("0")["values"]
    assert values.keys() == space_of(recipe).keys()
    assert recipe_of(recipe, values, "head") == recipe


def test_values_become_settings_of_their_own_type():
    recipe = searched("search.space={head.hidden: log 8..64, head.dropout: [0, 0.5], stages.0.epochs: 1..4}")
    hyperparameters = keras_tuner.HyperParameters()
    declare(recipe, hyperparameters)
    for _ in range(5):
        values = {parameter.name: parameter.random_sample() for parameter in hyperparameters.space}
        varied = recipe_of(recipe, values, "head")
        assert 8 <= varied.head.hidden <= 64
        assert varied.head.dropout in (0.0, 0.5)
        assert 1 <= varied.stages[0].epochs <= 4


def test_hyperband_shortens_what_a_trial_trains():
    recipe = searched("stages.0.epochs=9")
    shorter = recipe_of(recipe, {"tuner/epochs": 3, "head.dropout": 0.1}, "head")
    assert [stage.epochs for stage in shorter.stages] == [3, 1]
    assert shorter.head.dropout == 0.1


def test_a_search_survives_being_written(tmp_path):
    from kmedtl import recipe as recipes

    recipe = searched("search={space: {stages.0.lr: 'log 1e-4..1e-2', head.kind: [linear, mlp]}, trials: 3}")
    recipes.write(recipe, tmp_path / "recipe.yaml", defaults=False)
    assert recipes.read(tmp_path / "recipe.yaml") == recipe
    assert Search() == searched().search
