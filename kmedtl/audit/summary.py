"""The lines of an audit that a person reads in the terminal: a screen, however many the classes."""

from __future__ import annotations

import numpy as np

from kmedtl.audit.audit import MOST_TELLING, PLACES, TELLING, Audit
from kmedtl.system.printable import shown

MOST_CLASSES = 12  # that are told one by one


def describe(audit: Audit) -> str:
    """Return the lines that a person reads in the terminal."""
    left_out = {
        "other files": audit.ignored,
        "masks": audit.masks,
        "unlabelled": audit.unlabelled,
        "set aside": audit.set_aside,
        "unreadable": len(audit.unreadable),
    }
    said = ", ".join(f"{count} {name}" for name, count in left_out.items())
    lines = [f"{audit.source}: {audit.found} files, {audit.used} images used ({said})"]
    lines += ["  Synthetic images: they show nobody."] if audit.synthetic else []
    lines += [f"  {line}" for line in (*_classes(audit), *_shortcut_lines(audit))]
    return "\n".join(map(shown, lines + [f"  Note: {warning}" for warning in audit.warnings]))


def _classes(audit: Audit) -> list[str]:
    """Return a line a class; of many, the most frequent, what lies between, and the rarest."""
    told = {name: f"{name}: {count} images, {audit.patients[name]} patients" for name, count in audit.images.items()}
    if len(told) <= MOST_CLASSES:
        return list(told.values())
    order = sorted(told, key=lambda name: -audit.images[name])
    first, between, last = np.split(order, [MOST_CLASSES // 2, len(order) - MOST_CLASSES // 2])
    most, least = audit.images[between[0]], audit.images[between[-1]]
    more = f"… and {len(between)} more, {least} to {most} images each"
    return [*(told[name] for name in first), more, *(told[name] for name in last)]


def _shortcut_lines(audit: Audit) -> list[str]:
    """Return a line a shortcut; of many findings, the most telling one of each kind, as the notes name the others."""
    if len(audit.images) <= MOST_TELLING:
        return [f"{one.finding} from {PLACES[one.what]}: AUC {one.auc}; chance is 0.5" for one in audit.shortcuts]
    lines = []
    for what, place in PLACES.items():
        found = [one for one in audit.shortcuts if one.what == what]
        if found:
            best = max(found, key=lambda one: one.auc.low)
            telling = sum(one.auc.low > TELLING for one in found)
            lines.append(f"From {place}: {telling} of {len(found)} can be told; best {best.finding}, AUC {best.auc}")
    return lines
