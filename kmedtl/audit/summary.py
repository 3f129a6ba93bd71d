"""The lines of an audit that a person reads in the terminal: a screen, however many the classes."""

from __future__ import annotations

import numpy as np

from kmedtl.audit.audit import MOST_TELLING, PLACES, TELLING, Audit
from kmedtl.system.printable import shown

MOST_CLASSES = 12  # that are listed one by one


def describe(audit: Audit) -> str:
    """Return the lines that a person reads in the terminal."""
    left_out = {
        "other files": audit.ignored,
        "masks": audit.masks,
        "unlabelled": audit.unlabelled,
        "set aside": audit.set_aside,
        "unreadable": len(audit.unreadable),
    }
    counts = ", ".join(f"{count} {name}" for name, count in left_out.items())
    lines = [f"{audit.source}: {audit.found} files, {audit.used} images used ({counts})"]
    lines += ["  Synthetic images: they show nobody."] if audit.synthetic else []
    lines += [f"  {line}" for line in (*_classes(audit), *_shortcut_lines(audit))]
    return "\n".join(map(shown, lines + [f"  Note: {warning}" for warning in audit.warnings]))


def _classes(audit: Audit) -> list[str]:
    """Return a line a class; of many, the most frequent, what lies between, and the rarest."""
    lines = {name: f"{name}: {count} images, {audit.patients[name]} patients" for name, count in audit.images.items()}
    if len(lines) <= MOST_CLASSES:
        return list(lines.values())
    order = sorted(lines, key=lambda name: -audit.images[name])
    first, between, last = np.split(order, [MOST_CLASSES // 2, len(order) - MOST_CLASSES // 2])
    most, least = audit.images[between[0]], audit.images[between[-1]]
    more = f"… and {len(between)} more, {least} to {most} images each"
    return [*(lines[name] for name in first), more, *(lines[name] for name in last)]


def _shortcut_lines(audit: Audit) -> list[str]:
    """Return a line a shortcut; of many findings, the most telling one of each kind, as the notes name the others."""
    if len(audit.images) <= MOST_TELLING:
        return [
            f"{shortcut.finding} from {PLACES[shortcut.what]}: AUC {shortcut.auc}; chance is 0.5"
            for shortcut in audit.shortcuts
        ]
    lines = []
    for what, place in PLACES.items():
        alike = [shortcut for shortcut in audit.shortcuts if shortcut.what == what]
        if alike:
            best = max(alike, key=lambda shortcut: shortcut.auc.low)
            telling = sum(shortcut.auc.low > TELLING for shortcut in alike)
            lines.append(f"From {place}: {telling} of {len(alike)} can be told; best {best.finding}, AUC {best.auc}")
    return lines
