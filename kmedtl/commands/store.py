"""`kmedtl store`: what the cache holds; making and removing it."""

from __future__ import annotations

import argparse
from datetime import datetime

from kmedtl.commands.checks import check_source
from kmedtl.commands.options import add_source, recipe_of
from kmedtl.errors import UserError, nearest
from kmedtl.files.cache import Entry, cache_folder, entries, is_damaged, is_unfinished, remove

HELP = "list, clear or build the cache of decoded images"

NOTES = {
    is_unfinished: "  (unfinished: being written, or left by a killed run)",
    is_damaged: "  (damaged: set aside, and made again)",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    actions.add_parser("list", help="what the cache holds, with sizes")
    clear = actions.add_parser("clear", help="remove it: it is made again when needed")
    clear.add_argument("names", nargs="*", metavar="NAME", help="as `kmedtl store list` prints them; none: all")
    build = actions.add_parser("build", help="decode a source now, on many machines with Apache Beam if asked")
    build.add_argument("--beam", metavar="OPTIONS", help="Beam's own, as 'runner=DirectRunner direct_num_workers=2'")
    add_source(build)


def command(options: argparse.Namespace) -> int:
    return {"list": _list, "clear": _clear, "build": _build}[options.action](options)


def _list(options: argparse.Namespace) -> int:
    print(f"{cache_folder()}")
    print(f"{'NAME':<56} {'MB':>9}  MADE")
    for entry in entries():
        made = datetime.fromtimestamp(entry.made).strftime("%Y-%m-%d %H:%M")
        note = next((text for is_so, text in NOTES.items() if is_so(entry.path)), "")
        print(f"{_name(entry):<56} {entry.size / 1e6:>9.1f}  {made}{note}")
    return 0


def _clear(options: argparse.Namespace) -> int:
    from kmedtl.system.scratch import remove_abandoned

    known = {_name(entry): entry for entry in entries()}
    for name in options.names:
        if name not in known:
            raise UserError(f"{name}: not in the cache. {nearest(name, known) if known else 'It is empty.'}")
    finished = [name for name, entry in known.items() if not is_unfinished(entry.path)]
    chosen = [known[name] for name in options.names or finished]
    for entry in chosen:
        remove(entry.path)
    abandoned = 0 if options.names else remove_abandoned()
    print(f"{len(chosen)} removed, {(sum(entry.size for entry in chosen) + abandoned) / 1e6:.1f} MB freed")
    if not options.names and len(finished) < len(known):
        print(f"{len(known) - len(finished)} unfinished left, which a run may be writing; name them to remove them")
    return 0


def _build(options: argparse.Namespace) -> int:
    from kmedtl.system.native_logs import loading_tensorflow

    recipe = recipe_of(options)
    check_source(recipe.data)
    with loading_tensorflow():
        from kmedtl.data import sources
        from kmedtl.data.beam_store import prepare_with_beam
        from kmedtl.data.store import prepare

    table = sources.load(recipe.data, recipe.seed).table
    if options.beam is None:
        store = prepare(table, recipe.data.reading)
    else:
        store = prepare_with_beam(table, recipe.data.reading, [f"--{option}" for option in options.beam.split()])
    print(f"{store.count} of {len(table)} images decoded: {store.builder.data_dir}")
    return 0


def _name(entry: Entry) -> str:
    return f"{entry.kind}/{entry.path.name}"
