"""From a source to audited images: what `kmedtl run`, `search` and `audit` have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.audit.audit import Audit, audit
from kmedtl.audit.suitability import Mismatch, mismatches
from kmedtl.audit.volumes import examination_notes, volume_notes
from kmedtl.backbones import registry
from kmedtl.backbones.weights import card_of
from kmedtl.data import sources, store
from kmedtl.data.bags import check_known
from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS, Labels, Manifest, check_order
from kmedtl.data.store import Store
from kmedtl.data.tabular import with_columns
from kmedtl.ensemble.teacher import check_teacher
from kmedtl.errors import UserError
from kmedtl.recipe import Backbone, Data, Recipe
from kmedtl.runs import unlabelled
from kmedtl.runs.train import check_network
from kmedtl.runs.unlabelled import Unlabelled
from kmedtl.runs.update.images import pictures_of_run, with_images_of
from kmedtl.runs.update.start import as_asked_before, check_update
from kmedtl.runs.volumes import check_settings, pooling_of, without_background
from kmedtl.statistics.groups import check_columns
from kmedtl.tasks import needs_labels, task_of
from kmedtl.tasks.task import KnownTargets

Loader = Callable[[Data, int, Labels], Manifest]
SHOWN = 3  # pairs of images that a message names


@dataclass(frozen=True)
class Prepared:
    """A source, looked at.

    Attributes:
        manifest: every image that the source lists.
        store: the pixels of those that could be read.
        audit: what is in them.
        listed: the manifest's rows of readable images, with `record`, `twin` and `poor`; not divided into splits yet.
        table: those of them that are used: without copies, where the recipe leaves these out.
        mismatches: how the images do not suit the recipe.
        question: what is asked of them, where a task was given.
        targets: what is known of them, likewise.
        unlabelled: images without labels that a run learns from as well.
    """

    manifest: Manifest
    store: Store
    audit: Audit
    listed: pd.DataFrame
    table: pd.DataFrame
    mismatches: tuple[Mismatch, ...] = ()
    question: Any = None
    targets: KnownTargets | None = None
    unlabelled: Unlabelled | None = None


def prepare_run(recipe: Recipe) -> Prepared:
    """Read, audit and decode the images, and refuse what would be trained in vain.

    Names are checked first, so that missing weights or a misspelt block are refused before hours of decoding.

    Raises:
        UserError: whatever the user can mend.
    """
    check_network(recipe)
    if recipe.distill:
        check_teacher(recipe)
    if recipe.update.run:
        check_update(recipe)
    data = prepare_recipe(recipe)
    refuse(data, recipe)
    if recipe.distill:
        check_teacher(recipe, data.question)
    notes = weights_notes(recipe.backbone, data.manifest.source_name)
    told = replace(data, audit=replace(data.audit, warnings=(*data.audit.warnings, *notes)))
    return replace(told, unlabelled=_without_labels(told, recipe)) if recipe.data.unlabelled else told


def _without_labels(data: Prepared, recipe: Recipe) -> Unlabelled:
    """List, decode and audit the images without labels, as they lie beside the labelled ones.

    Raises:
        UserError: a source that cannot be used, or images of another kind that the recipe does not allow.
    """
    found = prepare(unlabelled.source_of(recipe.data), recipe.seed, "unasked", load=unlabelled.load)
    grave = [mismatch.text for mismatch in found.mismatches if mismatch.grave]
    if grave and not recipe.data.allow_mismatch:
        raise UserError(f"data.unlabelled: {found.manifest.source}: {grave[0]}")
    if (data.table["volume"] != "").any():
        raise UserError(f"data.unlabelled: expected images with labels. Received: volumes, {data.manifest.source}.")
    labelled, others = ((one.manifest, one.listed, one.store) for one in (data, found))
    return unlabelled.beside(labelled, others, recipe.data, found.audit.warnings)


def weights_notes(backbone: Backbone, source: str) -> tuple[str, ...]:
    """Return what is to be told of imported weights: that they have seen the data set that `source` names."""
    card = card_of(registry.get(backbone.name), backbone.weights)
    seen = [name for name in card.trained_on if _letters(name) and _letters(name) in _letters(source)] if card else []
    return tuple(
        f"The weights were trained on {name}, as their card says, and the images are called {source}: they may have "
        "seen test images, and the figures be too good."
        for name in seen
    )


def _letters(name: str) -> str:
    """Return letters and digits alone, so that 'NIH ChestX-ray14' is found in 'nih_chestxray14'."""
    return re.sub(r"[\W_]+", "", name.casefold())


def prepare_recipe(recipe: Recipe) -> Prepared:
    """List, decode and audit the images of a recipe with what is known of them; see `prepare`."""
    return with_targets(prepare_images(recipe), recipe)


def prepare_images(recipe: Recipe, check: Callable[[Any, Manifest], None] = lambda asked, listed: None) -> Prepared:
    """List, decode and audit the images of a recipe, as far as its task can use them; see `prepare`.

    Args:
        check: refuses a question or a list of images before they are decoded.
    """

    def checked(manifest: Manifest) -> tuple[Any, Manifest]:
        question, usable = ask(recipe, manifest)
        check(question, usable)
        return question, usable

    look = partial(prepare, recipe.data, recipe.seed, labels_of(recipe.task), checked, recipe.tabular)
    found = look(loader_of(recipe))
    if recipe.update.run and (known := pictures_of_run(recipe, found.listed)):
        found = look(partial(with_images_of, recipe, known=known))
    return _with_seen_slices(found, recipe)


def _with_seen_slices(data: Prepared, recipe: Recipe) -> Prepared:
    """Return the images; of volumes that are answered as a whole without slices of background, and what is told."""
    table, told = without_background(recipe, data.store, data.table)
    return replace(data, table=table, audit=replace(data.audit, warnings=(*data.audit.warnings, *told)))


def ask(recipe: Recipe, manifest: Manifest) -> tuple[Any, Manifest]:
    """Return what is asked of a recipe's images, and the manifest of those that can answer, with the recipe's fields.

    Raises:
        UserError: what the data cannot answer, fields that they do not have, or settings of volumes for images.
    """
    check_settings(recipe, manifest.table)
    known = with_columns(manifest, recipe.tabular, [getattr(recipe.task, "target", "")])
    question, usable = task_of(recipe.task).ask(recipe.task, recipe.data, known)
    return (as_asked_before(recipe, question) if recipe.update.run else question), usable


def look(recipe: Recipe) -> Prepared:
    """List, decode and audit the images of a recipe, to be looked at.

    What a run would refuse, as they cannot be read or answer nothing, is told among the audit's warnings.

    Raises:
        UserError: a source that cannot be used.
    """
    data, labelled = replace(recipe.data, max_unreadable=1.0), needs_labels(recipe.task)
    look_at = replace(recipe, data=data)

    def asked(manifest: Manifest) -> tuple[Any, Manifest]:
        try:
            known = with_columns(manifest, recipe.tabular)
            return (None, known) if labelled else ask(look_at, manifest)
        except UserError as error:
            return None, replace(manifest, notes=(_refused(error, manifest), *manifest.notes))

    labels: Labels = "wanted" if labelled else "unasked"
    found = prepare(data, recipe.seed, labels, asked, recipe.tabular, loader_of(recipe))
    try:
        return with_targets(_with_seen_slices(found, recipe), recipe) if found.question else found
    except UserError as error:
        warnings = (_refused(error, found.manifest), *found.audit.warnings)
        return replace(found, audit=replace(found.audit, warnings=warnings))


def _refused(error: UserError, manifest: Manifest) -> str:
    return f"A run refuses this: {str(error).replace(manifest.source, manifest.source_name)}"


def loader_of(recipe: Recipe) -> Loader:
    """Return what lists a recipe's images: those of its source and, of an update, those of its run as well."""
    return partial(with_images_of, recipe) if recipe.update.run else sources.load


def labels_of(settings: Any) -> Labels:
    """Return what a recipe's `task` asks of a source's labels."""
    return "needed" if needs_labels(settings) else "unasked"


def with_targets(data: Prepared, recipe: Recipe) -> Prepared:
    """Return images with what is known of them, and what the audit says of that.

    Raises:
        UserError: what the task cannot use, such as masks of another size than their image.
    """
    known = task_of(recipe.task).targets(data.question, recipe.data, data.manifest, data.table)
    if rule := pooling_of(recipe, data.table):
        check_known(data.table, known.of(data.table), rule, data.manifest.source, tuple(recipe.data.views))
    audited = replace(data.audit, warnings=(*data.audit.warnings, *known.notes))
    table = data.table if known.strata is None else data.table.assign(stratum=known.strata)
    return replace(data, audit=audited, table=table, targets=known, question=known.question or data.question)


def prepare(
    data: Data,
    seed: int,
    labels: Labels = "needed",
    ask: Callable[[Manifest], tuple[Any, Manifest]] = lambda manifest: (None, manifest),
    tabular: Mapping[str, str] = MappingProxyType({}),
    load: Loader = sources.load,
) -> Prepared:
    """List, decode and audit what a recipe's `data` asks for.

    Args:
        labels: as of `kmedtl.data.sources.load`.
        ask: returns what is asked of the images, and those that can answer it.
        tabular: the recipe's fields, which the audit looks at as far as there are such columns.
        load: lists the images of `data`.

    Raises:
        UserError: a source that cannot be used; leakage is reported, not refused.
    """
    question, manifest = ask(load(data, seed, labels))
    images = store.prepare(manifest.table, data.reading)
    audited, table = audit(manifest, images, data.max_unreadable, seed, data.same_patients, data.aspect, tabular)
    facts = images.facts[["id", "width", "height", "mode", "bits"]]
    found = mismatches(table.merge(facts, on="id", suffixes=("_of_source", "")), data, manifest.synthetic)
    told = images.facts[["id", "width", "height", "row_spacing", "column_spacing", "slice_spacing"]]
    listed = table.merge(told.set_axis(["id", *SIZES, *SPACINGS, BETWEEN], axis=1), on="id")
    used, dropped = _without_copies(listed, manifest) if data.copies == "drop" else (listed, ())
    of_volumes = [*examination_notes(listed, data), *volume_notes(manifest.table, listed, data)]
    warnings = (*audited.warnings, *of_volumes, *(mismatch.text for mismatch in found), *dropped)
    return Prepared(manifest, images, replace(audited, warnings=warnings), listed, used, tuple(found), question)


def _without_copies(table: pd.DataFrame, manifest: Manifest) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the first image of each picture under each label, and what is to be told of the others."""
    labels = [name for name in (*manifest.classes, "label") if name in table]
    kept = table.drop_duplicates(["twin", *labels], ignore_index=True)
    count = len(table) - len(kept)
    return kept, (f"{count} copies of other images were left out (data.copies=drop).",) if count else ()


def refuse(data: Prepared, recipe: Recipe) -> None:
    """Refuse what would be trained in vain.

    Raises:
        UserError: groups that are none, grades without an order, leakage, certain or suspected, poor pixels, or images
            of another kind that the recipe does not allow.
    """
    source, suspected = data.manifest.source, data.audit.suspected_leaks
    leaks = [pair for pair in data.audit.leaks if pair not in suspected]
    check_columns(data.manifest.table, recipe.evaluation.groups)
    if recipe.evaluation.ordered:
        check_order(data.manifest, recipe.data.classes, "evaluation.ordered")
    _refuse_poor(data, recipe.data.max_poor)
    grave = [mismatch.text for mismatch in data.mismatches if mismatch.grave]
    if grave and not recipe.data.allow_mismatch:
        raise UserError(f"{source}: {grave[0]}")
    if leaks and not recipe.data.allow_leakage:
        raise UserError(
            f"{source}: patients or pictures in two of its splits: {len(leaks)}, first: "
            f"{' and '.join(leaks[0])}; the test would measure memory. Move them to one split, empty the split column, "
            "or say --set data.allow_leakage=true; `kmedtl audit` shows them all."
        )
    if suspected and not recipe.data.allow_leakage:
        first = "; ".join(" and ".join(pair) for pair in suspected[:SHOWN])
        raise UserError(
            f"{source}: patients in two of its splits whose ids differ only in spelling: {len(suspected)}, first: "
            f"{first}; if they are one, the test would measure memory. Move them to one split, or, if they are "
            "different people, say --set data.same_patients=false; `kmedtl audit` shows them all."
        )


def _refuse_poor(data: Prepared, allowed: float) -> None:
    """Refuse a class of whose images too many show next to nothing; without classes, all images."""
    everything = {"": np.ones(len(data.table), bool)}
    for name, members in (data.manifest.members(data.table) or everything).items():
        poor = data.table.loc[members & (data.table["poor"] != "").to_numpy(), ["id", "poor"]]
        if len(poor) > allowed * members.sum():
            first, of_class = poor.iloc[0], f" of the class '{name}'" if name else ""
            raise UserError(
                f"{data.manifest.source}: {len(poor)} of {members.sum()} images{of_class} show next to nothing, first: "
                f"{first['id']}, {first['poor']}; see `kmedtl audit`, set data.window or data.pixel_offset, or raise "
                f"data.max_poor ({allowed})."
            )
