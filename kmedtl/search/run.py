"""One search, from a recipe to the best of its variations. Read it from the top."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.recipe.search import Range
from kmedtl.runs.run_folder import logged
from kmedtl.search import distributed, folder, records
from kmedtl.search.objective import objective_of
from kmedtl.search.oracles import oracle_of
from kmedtl.search.process import TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.result import Found, conclude
from kmedtl.search.space import check, space_of, tier_of
from kmedtl.search.study import TRIALS, Study, log_of, study_of
from kmedtl.search.tuner import RecipeTuner
from kmedtl.system.progress import progress


def search(
    recipe: Recipe,
    out: Path | None = None,
    log: Callable[[str], None] = print,
    resume: bool = False,
    ray: str = "",
    workers: int = 0,
) -> tuple[Found | None, Path]:
    """Search as `recipe.search` says; return what was found, and the search's folder.

    Under KerasTuner's environment variables this process is the chief of a search on several machines, which gives out
    the trials and concludes, or one of its workers, which finds nothing of its own (None).

    Args:
        out: the folder; None: a new one under `saved_models/`. All of several machines must name the same.
        resume: go on with a search that was stopped or killed, after its last trial.
        ray: have Ray Tune carry out the trials: `local` on this machine, or the address of a cluster; empty: not.
        workers: trials at a time of Ray; 0: one a machine.

    Raises:
        UserError: whatever the user can mend, all trials failing among it.
    """
    check(recipe)
    role = distributed.role()
    if ray or workers:
        _check_ray(ray, workers, role)
    if role != "alone" and out is None:
        raise UserError("search: expected --out, a folder that chief and workers share.")
    if role == "worker":
        assert out is not None  # workers were refused without one
        _work(recipe, out, log)
        return None, out
    place = folder.choose(out, recipe.name, resume)
    with folder.held(place, recipe, log):
        log = logged(log, place)
        study = study_of(recipe, place)
        log(_describe(study))
        if ray:
            _on_ray(study, ray, workers)
        elif role == "chief":
            _give_out(study)
        else:
            _alone(study)
        found = conclude(recipe, study.development, place, log)
    return found, place


def _alone(study: Study) -> None:
    """Carry out all trials here."""
    with TrialProcess(log_of(study.folder, "tuner0")) as process, _bar(study) as end:
        RecipeTuner(oracle_of(study.recipe), study, process, end=end).search(verbose=0)


def _on_ray(study: Study, address: str, workers: int) -> None:
    """Have Ray carry out all trials."""
    from kmedtl.search.ray_backend import carry_out_all  # an optional dependency

    with _bar(study) as end:
        carry_out_all(oracle_of(study.recipe), study, address, workers, end)


def _check_ray(address: str, workers: int, role: str) -> None:
    if not address:
        raise UserError("--workers: expected --ray as well, which says where.")
    if workers < 0:
        raise UserError(f"--workers: expected 0 or more. Received: {workers}.")
    if role != "alone":
        raise UserError(f"--ray: expected one way to several machines. Received: {distributed.ADDRESS} as well.")
    if importlib.util.find_spec("ray") is None:
        raise UserError("--ray: Ray is not installed; pip install 'kmedtl[ray]'.")
    from kmedtl.search.ray_backend import check_address

    check_address(address)


def _give_out(study: Study) -> None:
    """Give out the trials to workers until all are done."""
    distributed.check_port()
    oracle = oracle_of(study.recipe)
    with distributed.recovering(oracle, study.folder):
        RecipeTuner(oracle, study, process=None).search(verbose=0)


def _work(recipe: Recipe, place: Path, log: Callable[[str], None]) -> None:
    """Carry out the trials that the chief gives out, until it has no more."""
    worker = os.environ[distributed.ID]
    distributed.reach_chief()
    folder.check_same(place, recipe)
    done = 0

    def end(record: Record) -> None:
        nonlocal done
        done += 1
        distributed.reach_chief()
        log(f"{worker}: trial {record.trial} {record.status} after {record.seconds:.0f} s")

    with distributed.beating(place), TrialProcess(log_of(place, worker)) as process:
        study = study_of(recipe, place)
        RecipeTuner(oracle_of(recipe), study, process, begin=distributed.reach_chief, end=end).search(verbose=0)
    log(f"{worker}: {done} trials; the search has no more.")


@contextlib.contextmanager
def _bar(study: Study) -> Iterator[Callable[[Record], None]]:
    """Yield what moves a progress bar on by a trial."""
    done, search = records.read_all(study.folder / TRIALS), study.recipe.search
    objective = objective_of(study.recipe)
    with progress(total=search.trials, initial=len(done), title="search", unit="trial", leave=True) as bar:

        def end(record: Record) -> None:
            done.append(record)
            best = records.best_of(done, study.recipe)
            figure = f"best {objective} {best.figures[objective]:.4f}" if best else "none completed"
            bar.set_postfix_str(figure)
            bar.update()

        yield end


def _describe(study: Study) -> str:
    search, tier, table = study.recipe.search, tier_of(study.recipe), study.development.manifest.table
    images = f"{len(table)} images of {table['patient'].nunique()} patients, no test image"
    judged = f"{search.folds} folds by patient" if search.folds else "validation"
    objective = objective_of(study.recipe)
    how = "the head on cached features" if tier == "head" else "all stages"
    return "\n".join(
        [
            f"Search: at most {search.trials} trials ({search.tuner}), {objective} of {judged}; {images}",
            f"  Each trial trains {how}. What varies:",
            *(f"    {path}: {_shown(choices)}" for path, choices in space_of(study.recipe).items()),
        ]
    )


def _shown(choices: Range) -> str:
    if isinstance(choices, tuple):
        return ", ".join(map(str, choices))
    return f"{'log ' if choices.scale == 'log' else ''}{choices.min:g}..{choices.max:g}"
