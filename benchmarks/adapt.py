"""What `kmedtl adapt` is worth: before and after, on stored scores of a run's validation and test.

    python benchmarks/adapt.py RUN --scores scores.npz [--part test] [--draws 200]

RUN is a run folder of a yes-or-no question. What its model says of validation and test, clean and under each corruption
of severity 3, is kept in `--scores`, which a second call reads. Prints two tables:

- 300 films without labels, of each corruption: which verdicts are reached, and sensitivity and specificity, before and
  after, on all other films of the part. Where one is refused the model stays, and counts as it is; `with the
  prevalence` is what it would be had the prevalence been given then.
- 25, 50 and 100 labels with the share of the finding halved, as it is, and with its odds doubled, clean and under the
  three corruptions that cost most: balanced accuracy on the films that were not drawn, mean, 5 % quantile, how often
  it fell by more than .01, and how often the model stayed.

Films are drawn one by one, whoever they are of. With `--part val` validation is halved by patient, one half being what
the model remembers, the other the hospital: by that part the constants of `kmedtl.edge.adaptation` were chosen.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.decide import Site, decide
from kmedtl.edge.adaptation.reference import reference
from kmedtl.edge.shapes import FEATURES
from kmedtl.errors import UserError
from kmedtl.system.native_logs import loading_tensorflow

SEVERITY, SEED = 3, 7
UNLABELLED = 300
CLEAN, REFUSED = "clean", "refused"
COSTLY = 3  # corruptions that the second table is of


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--scores", type=Path, required=True, help="where what the model says is kept")
    parser.add_argument("--part", choices=("val", "test"), default="test")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    info = model_info.read(options.run)
    if not options.scores.is_file():
        np.savez(options.scores, **scored(options.run, info))
    found = dict(np.load(options.scores, allow_pickle=False))
    subject = Subject(info, recipes.read(options.run / "recipe.yaml").evaluation.operating_point, found, options.part)
    print(f"{options.part}: {len(subject.labels)} films, {subject.labels.mean():.2f} with the finding; seed {SEED}")
    without_labels(subject, options.draws)
    with_labels(subject, options.draws)


def scored(folder, info):
    """Return what the run's model says of validation and test, clean and under each corruption."""
    with loading_tensorflow():
        from kmedtl.data import splits
        from kmedtl.data.corruptions import suite
        from kmedtl.data.pipeline import pipelines
        from kmedtl.export.runtimes import open_runtime
        from kmedtl.runs.prepare import prepare_recipe
        from kmedtl.runs.reopen import open_run

    run = open_run(folder)
    data = replace(run.recipe.data, source=str(folder / "manifest.csv"), labels="", limit=None, train_limit=None)
    prepared = prepare_recipe(replace(recipes.read(folder / "recipe.yaml"), data=data))
    table = splits.split(prepared.manifest, prepared.table, data.validation, data.test, run.recipe.seed)
    parts = pipelines(prepared.store, table, data.batch_size, targets=lambda part: {})
    runtime, score = open_runtime(run.model), info.task.one_score(info.decoder)
    found = {}
    for part in ("val", "test"):
        known, pixels = run.examples(part).in_order_of(parts[part].table["id"]), parts[part].pixels()
        found[f"{part}/labels"] = known.targets[score.output][:, 0]
        found[f"{part}/patients"] = known.patients.astype(str)
        for name, corruption in {CLEAN: None, **suite()}.items():
            outputs = runtime(corruption(pixels, SEVERITY, SEED) if corruption else pixels)
            found[f"{part}/{name}/scores"] = outputs[score.output][:, 0]
            found[f"{part}/{name}/features"] = outputs[FEATURES].astype(np.float16)
            print(part, name, flush=True)
    return found


class Subject:
    """A run's stored scores: the part that is drawn from, and how validation looked."""

    def __init__(self, info, rule, found, part):
        self.info, self.rule, self.found, self.part = info, rule, found, part
        self.score = info.task.one_score(info.decoder)
        self.labels, self.patients = found[f"{part}/labels"].astype(int), found[f"{part}/patients"]
        self.names = [name.split("/")[1] for name in found if name.startswith(part) and name.endswith("/scores")]
        kind = info.out_of_distribution
        self.places = {name: kind.coordinates(found[f"{part}/{name}/features"].astype(float)) for name in self.names}
        self.whole = self.look(np.arange(len(found["val/labels"])))

    def look(self, rows):
        known = (self.found[f"val/{name}"][rows] for name in ("clean/scores", "labels", "patients"))
        features = self.found["val/clean/features"][rows].astype(float)
        return reference(*known, self.rule, self.info.out_of_distribution, features)

    def drawn(self, random):
        """Return how validation looked, and the films that stand for the hospital."""
        if self.part == "test":
            return self.whole, np.arange(len(self.labels))
        everybody = np.unique(self.patients)
        one_half = np.isin(self.patients, random.permutation(everybody)[: len(everybody) // 2])
        return self.look(np.flatnonzero(one_half)), np.flatnonzero(~one_half)

    def site(self, name, rows, labelled):
        labels = self.labels[rows] if labelled else np.full(len(rows), -1)
        return Site(self.scores(name)[rows], self.places[name][rows], labels, self.patients[rows].astype(object))

    def scores(self, name):
        return self.found[f"{self.part}/{name}/scores"].astype(float)

    def judged(self, name, rows, decoder):
        """Return sensitivity and specificity of a decoder on some films."""
        score = self.info.task.one_score(decoder or self.info.decoder)
        called = score.log_odds(self.scores(name)[rows]) >= score.threshold
        return np.array([(called == label)[self.labels[rows] == label].mean() for label in (1, 0)])


def without_labels(subject, draws):
    print(f"\n{UNLABELLED} films without labels, {draws} draws: sensitivity, specificity\n")
    print("| corruption | clean | before | after | 5 % of after | with the prevalence | verdicts |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in subject.names:
        random, verdicts, rows_found = np.random.default_rng(SEED), Counter(), []
        for _ in range(draws):
            look, pool = subject.drawn(random)
            rows = random.choice(pool, min(UNLABELLED, 2 * len(pool) // 3), replace=False)
            rest = np.setdiff1d(pool, rows)
            site = subject.site(name, rows, labelled=False)
            kind, decoder = decided(look, subject, site)
            told = decided(look, subject, site, subject.labels.mean())[1] if kind == REFUSED else decoder
            verdicts[kind] += 1
            each = (CLEAN, None), (name, None), (name, decoder), (name, told)
            rows_found.append([subject.judged(of, rest, new) for of, new in each])
        clean, before, after, given = np.mean(rows_found, axis=0)
        low = np.quantile(np.array(rows_found)[:, 2], 0.05, axis=0)
        told = ", ".join(f"{kind} {count / draws:.0%}" for kind, count in verdicts.most_common())
        print(
            f"| `{name}` | {pair(clean)} | {pair(before)} | {pair(after)} | {pair(low)} | {pair(given)} | {told} |",
            flush=True,
        )


def with_labels(subject, draws):
    every = np.arange(len(subject.labels))
    lost = {name: subject.judged(name, every, None).mean() for name in subject.names if name != CLEAN}
    names = [CLEAN, *sorted(lost, key=lost.get)[:COSTLY]]
    share = subject.labels.mean()
    odds = 2 * share / (1 - share)
    print(f"\nLabels, {draws} draws: balanced accuracy\n")
    print("| corruption | share | labels | before | after | 5 % before | 5 % after | worse by > .01 | stays |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        for drawn in (share / 2, share, odds / (1 + odds)):
            for count in (25, 50, 100):
                row = labelled(subject, name, drawn, count, draws)
                print(f"| `{name}` | {drawn:.2f} | {count} | {row} |", flush=True)


def labelled(subject, name, share, count, draws):
    random, found, stays = np.random.default_rng(SEED), [], 0
    for _ in range(draws):
        look, pool = subject.drawn(random)
        wanted = random.binomial(count, share)
        parts = [random.permutation(pool[subject.labels[pool] == label]) for label in (1, 0)]
        rows = np.concatenate([parts[0][:wanted], parts[1][: count - wanted]])
        _, decoder = decided(look, subject, subject.site(name, rows, labelled=True))
        rest = np.setdiff1d(pool, rows)
        found.append([subject.judged(name, rest, new).mean() for new in (None, decoder)])
        stays += decoder is None
    before, after = np.array(found).T
    low = np.quantile(found, 0.05, axis=0)
    worse = (after < before - 0.01).mean()
    told = [before.mean(), after.mean(), *low]
    return " | ".join([*(f"{value:.3f}" for value in told), f"{worse:.0%}", f"{stays / draws:.0%}"])


def decided(look, subject, site, prevalence=None):
    """Return the verdict and the new decoder; None: the old one stays."""
    try:
        found = decide(look, subject.score, site, prevalence, bootstrap=False)
    except UserError:
        return REFUSED, None
    return found.kind, found.decoder


def pair(figures):
    return f"{figures[0]:.3f}, {figures[1]:.3f}"


if __name__ == "__main__":
    main()
