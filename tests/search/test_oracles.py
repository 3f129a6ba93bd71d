import keras_tuner
import pytest

from kmedtl.search.oracles import oracle_of
from tests.search.conftest import searched

SPACE = "search.space={stages.0.lr: log 1e-4..1e-1, head.kind: [linear, mlp]}"


def tuner(recipe, folder, values=lambda settings: settings["stages.0.lr"], most=99):
    """Carry out trials that cost nothing: the objective is a function of the settings."""

    class Tuner(keras_tuner.Tuner):
        asked = 0

        def pre_create_trial(self):
            self.asked += 1
            if self.asked > most:
                raise KeyboardInterrupt

        def run_trial(self, trial, *arguments, **settings):
            return {"val_auc": values(trial.hyperparameters.values), "val_loss": 1.0, "score": 1.0}

    return Tuner(oracle_of(recipe), directory=str(folder), project_name="trials")


@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband", "grid"])
def test_each_strategy_tries_the_recipe_first_and_ends_in_time(name, tmp_path):
    recipe = searched(SPACE, f"search.tuner={name}", "search.trials=8")
    one = tuner(recipe, tmp_path)
    one.search(verbose=0)
    trials = [one.oracle.trials[number] for number in one.oracle.start_order]
    assert len(trials) == 8
    assert {path: trials[0].hyperparameters.values[path] for path in ("stages.0.lr", "head.kind")} == {
        "stages.0.lr": 1e-2,
        "head.kind": "linear",
    }
    rates = {trial.hyperparameters.values["stages.0.lr"] for trial in trials}
    assert len(rates) > 4
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


@pytest.mark.parametrize("name", ["random", "grid", "hyperband"])
def test_a_search_that_stopped_goes_on_with_what_it_would_have_tried(name, tmp_path):
    """KerasTuner's own grid forgets where it was."""
    recipe = searched(SPACE, f"search.tuner={name}", "search.trials=9")
    whole = tuner(recipe, tmp_path / "whole")
    whole.search(verbose=0)
    with pytest.raises(KeyboardInterrupt):
        tuner(recipe, tmp_path / "parts", most=4).search(verbose=0)
    resumed = tuner(recipe, tmp_path / "parts")
    assert len(resumed.oracle.trials) == 4
    resumed.search(verbose=0)
    values = [
        [one.oracle.trials[number].hyperparameters.values for number in sorted(one.oracle.trials)]
        for one in (whole, resumed)
    ]
    assert values[0] == values[1]


def test_a_grid_ends_when_all_is_tried(tmp_path):
    one = tuner(searched("search={tuner: grid, space: {head.kind: [linear, mlp]}}"), tmp_path, lambda settings: 0.5)
    one.search(verbose=0)
    assert len(one.oracle.trials) == 2


def test_no_trial_begins_after_the_time_is_up(tmp_path):
    one = tuner(searched(SPACE, "search.hours=1e-9"), tmp_path)
    one.search(verbose=0)
    assert len(one.oracle.trials) == 1


@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband", "grid"])
def test_nobody_is_sent_away_while_a_trial_may_still_have_to_be_given_out_again(name, tmp_path):
    """KerasTuner's own oracles send it away, and the trial of a worker that is lost afterwards is never made."""
    oracle = tuner(searched(SPACE, f"search.tuner={name}", "search.trials=2"), tmp_path).oracle
    lost, done = oracle.create_trial("lost"), oracle.create_trial("other")
    oracle.update_trial(done.trial_id, {"val_auc": 0.5})
    done.status = "COMPLETED"
    oracle.end_trial(done)
    assert oracle.create_trial("other").status == "IDLE"
    lost.status = "INVALID"
    oracle.end_trial(lost)
    assert oracle.create_trial("other").trial_id == lost.trial_id
    oracle.update_trial(lost.trial_id, {"val_auc": 0.4})
    lost.status = "COMPLETED"
    oracle.end_trial(lost)
    assert oracle.create_trial("other").status == "STOPPED"
    assert not oracle.tuner_ids - {"lost"}
