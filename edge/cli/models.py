"""edgekit models: the real models that this edgekit knows, and their files."""

from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress

if TYPE_CHECKING:
    from edge.records.card import ModelCard


@click.group()
def command() -> None:
    """List and fetch real models, each pinned by the digest of its package and its files.

    \b
    Example:
      edgekit models list
      edgekit models fetch silero-vad
    """


@command.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models: the default one first, then by kind.

    \b
    Example:
      edgekit models list
    """
    from edge.adapters.cards import load_cards
    from edge.records.codec import to_dict
    from edge.workflows.models import is_cached

    cards = [(card, is_cached(card)) for card in load_cards()]
    if as_json:
        print_json({"models": [{**to_dict(card), "cached": here} for card, here in cards]})
    else:
        print_rich(_table(cards))


@command.command()
@click.argument("name")
@click.option("--file", "file", metavar="FILE", help="Only this file of the model.")
@json_option
def fetch(name: str, file: str | None, as_json: bool) -> None:
    """Fetch the model NAME into the cache and print the path of each of its files.

    \b
    Example:
      edgekit models fetch basic-pitch --file basic-pitch.tflite
    """
    from edge.adapters.cards import load_card
    from edge.records.codec import to_dict
    from edge.workflows.models import fetch_files

    with progress(f"fetching {name}") as told:
        folder, fetched = fetch_files(load_card(name), file, told)
    if as_json:
        files = [{**to_dict(f), "path": str(folder / f.name)} for f in fetched.files]
        print_json({"name": name, "files": files, "evidence": list(fetched.evidence)})
        return
    for line in fetched.evidence:
        note(line)
    for fetched_file in fetched.files:
        click.echo(folder / fetched_file.name)


def _table(cards: "list[tuple[ModelCard, bool]]") -> object:
    """Return one row a file; what is the card's stands in its first row."""
    from rich.table import Table

    from edge.units import format_bytes

    heads = ("name", "kind", "file", "format", "precision", "size", "licence", "source", "cached")
    table = Table(*heads, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for card, here in cards:
        origin = f"{card.source.registry} {card.source.package or ''}".strip()
        for file in card.file:
            first = file is card.file[0]
            size = "made here" if file.size_bytes is None else format_bytes(file.size_bytes)
            table.add_row(
                *((card.name, card.kind) if first else ("", "")),
                *(file.name, file.format, file.precision, size),
                *((card.licence, origin, "yes" if here else "no") if first else ()),
            )
    return table
