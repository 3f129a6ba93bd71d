"""Several tasks of one image as a row of `kmedtl.tasks`, made of theirs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from kmedtl.edge.tasks.task import EdgeTask
from kmedtl.tasks.multi import combine, evaluation, question, report, table
from kmedtl.tasks.multi.parts import Tasks, first_of, merged
from kmedtl.tasks.task import Network, Task

SHOWN = 3  # figures of each task that short tables show


def combined(tasks: Tasks, edge: EdgeTask) -> Task:
    """Return the row of several tasks, by their names; `edge` is its NumPy half."""
    first = first_of(tasks)
    own_pictures = any(task.gallery for task in tasks.values())
    drawn = any(task.draw for task in tasks.values())

    def network() -> Network:
        from kmedtl.tasks.multi.network import network

        return network(tasks)

    return Task(
        edge=edge,
        needs_classes=any(task.needs_classes for task in tasks.values()),
        ask=partial(question.ask, tasks),
        targets=partial(question.targets, tasks),
        check=partial(question.check, tasks),
        labels=partial(question.labels, tasks),
        network=network,
        score=partial(evaluation.score, tasks),
        better={evaluation.TOGETHER: "max", **merged({name: task.better for name, task in tasks.items()})},
        select=partial(evaluation.select, tasks),
        fit_decoder=partial(evaluation.fit_decoder, tasks),
        evaluate=partial(evaluation.evaluate, tasks),
        figures=partial(evaluation.figures, tasks),
        pool=partial(evaluation.pool, tasks),
        brief=tuple(merged({name: dict.fromkeys(task.brief[:SHOWN]) for name, task in tasks.items()})),
        chance=tasks[first].chance,
        document=partial(evaluation.document, tasks),
        lines=partial(evaluation.lines, tasks),
        table=partial(table.columns_of, tasks),
        arrays=partial(table.arrays_of, tasks),
        read=partial(table.read, tasks),
        evaluate_table=partial(table.evaluate_table, tasks),
        question=partial(question.question_of, tasks),
        drift=partial(evaluation.drift, tasks),
        drift_titles=evaluation.drift_titles(tasks),
        gain=partial(evaluation.gain, tasks),
        plain=partial(question.plain_decoder, tasks),
        beside=next(iter(merged({first: {tasks[first].beside: None}}))),
        right=partial(evaluation.right, tasks),
        cases=partial(report.cases, tasks),
        gallery=partial(report.gallery, tasks) if own_pictures else None,
        draw=partial(report.draw, tasks) if drawn else None,
        curves=partial(report.curves, tasks),
        report=partial(report.report, tasks),
        vote=combine.vote(tasks),
        apart=partial(question.apart, tasks),
        check_validation=partial(question.check_validation, tasks),
        again=lambda run, here: replace(here, tasks=run.tasks),
        goes_on=partial(question.goes_on, tasks),
        calibration=partial(evaluation.calibration, tasks),
        units=lambda asked: merged({name: task.units(asked.tasks[name]) for name, task in tasks.items()}),
        moves=merged({name: task.moves for name, task in tasks.items()}),
        columns=tuple(dict.fromkeys(column for task in tasks.values() for column in task.columns)),
    )
