"""One search, from a recipe to the best of its variations. Read it from the top."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from kmedtl.errors import UserError
from kmedtl.export.provenance import hashes
from kmedtl.recipe import Recipe
from kmedtl.recipe.search import Range
from kmedtl.search import distributed, folder, records
from kmedtl.search.development import Development, development
from kmedtl.search.found import Found, conclude
from kmedtl.search.oracles import oracle_of
from kmedtl.search.process import TrialProcess
from kmedtl.search.records import Record
from kmedtl.search.space import check, space_of, tier_of
from kmedtl.search.tuner import TRIALS, RecipeTuner, log_of


def search(
    recipe: Recipe, out: Path | None = None, say: Callable[[str], None] = print, resume: bool = False
) -> tuple[Found | None, Path]:
    """Search as `recipe.search` says; return what was found, and the search's folder.

    Under KerasTuner's environment variables this process is the chief of a search on several machines, which gives out
    the trials and concludes, or one of its workers, which finds nothing of its own (None).

    Args:
        out: the folder; None: a new one under `saved_models/`. All of several machines must name the same.
        resume: go on with a search that was stopped or killed, after its last trial.

    Raises:
        UserError: whatever the user can mend, all trials failing among it.
    """
    check(recipe)
    role = distributed.role()
    if role != "alone" and out is None:
        raise UserError("search: expected --out, a folder that chief and workers share.")
    if role == "worker":
        _work(recipe, out, say)
        return None, out
    place = folder.choose(out, recipe.name, resume)
    with folder.held(place, recipe, say):
        data = _images(recipe, place)
        say(_describe(recipe, data))
        _give_out(recipe, data, place) if role == "chief" else _alone(recipe, data, place)
        found = conclude(recipe, data, place, say)
    return found, place


def _alone(recipe: Recipe, data: Development, place: Path) -> None:
    """Carry out all trials here."""
    with TrialProcess(log_of(place, "tuner0")) as process, _bar(recipe, place) as end:
        RecipeTuner(oracle_of(recipe), recipe, data, place, process, end=end).search(verbose=0)


def _give_out(recipe: Recipe, data: Development, place: Path) -> None:
    """Give out the trials to workers until all are done."""
    distributed.check_port()
    oracle = oracle_of(recipe)
    with distributed.recovering(oracle, place):
        RecipeTuner(oracle, recipe, data, place, process=None).search(verbose=0)


def _work(recipe: Recipe, place: Path, say: Callable[[str], None]) -> None:
    """Carry out the trials that the chief gives out, until it has no more."""
    worker = os.environ[distributed.ID]
    distributed.reach_chief()
    folder.check_same(place, recipe)
    done = 0

    def end(record: Record) -> None:
        nonlocal done
        done += 1
        distributed.reach_chief()
        say(f"{worker}: trial {record.trial} {record.status} after {record.seconds:.0f} s")

    with distributed.beating(place), TrialProcess(log_of(place, worker)) as process:
        data = _images(recipe, place)
        RecipeTuner(oracle_of(recipe), recipe, data, place, process, begin=distributed.reach_chief, end=end).search(
            verbose=0
        )
    say(f"{worker}: {done} trials; the search has no more.")


def _images(recipe: Recipe, place: Path) -> Development:
    """Return what trials may see, the same for everybody who takes part."""
    data = development(recipe)
    folder.check_images(place, hashes(recipe, data.manifest.table)["data_hash"])
    return data


@contextlib.contextmanager
def _bar(recipe: Recipe, place: Path) -> Iterator[Callable[[Record], None]]:
    """Yield what moves a progress bar on by a trial."""
    done, objective = records.read_all(place / TRIALS), recipe.search.objective
    with tqdm(total=recipe.search.trials, initial=len(done), desc="search", unit="trial", ncols=100) as bar:

        def end(record: Record) -> None:
            done.append(record)
            best = records.best_of(done, objective)
            bar.set_postfix_str(f"best {objective} {best.figures[objective]:.4f}" if best else "none completed")
            bar.update()

        yield end


def _describe(recipe: Recipe, data: Development) -> str:
    search, tier = recipe.search, tier_of(recipe)
    images = f"{len(data.manifest.table)} images of {data.manifest.table['patient'].nunique()} patients, no test image"
    judged = f"{search.folds} folds by patient" if search.folds else "validation"
    how = "the head on cached features" if tier == "head" else "all stages"
    return "\n".join(
        [
            f"Search: at most {search.trials} trials ({search.tuner}), {search.objective} of {judged}; {images}",
            f"  Each trial trains {how}. What varies:",
            *(f"    {path}: {_shown(choices)}" for path, choices in space_of(recipe).items()),
        ]
    )


def _shown(choices: Range) -> str:
    if isinstance(choices, tuple):
        return ", ".join(map(str, choices))
    return f"{'log ' if choices.scale == 'log' else ''}{choices.min:g}..{choices.max:g}"
