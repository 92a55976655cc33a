"""Results on stdout, everything else on stderr; colour and progress only on a terminal."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from edge.errors import ReaderWentAway
from edge.records.codec import to_dict

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add --json: one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(
        function
    )


def print_json(record: object) -> None:
    """Print a record, or plain JSON data, as one JSON document."""
    plain = record if isinstance(record, dict | list) else to_dict(record)
    with _to_a_reader():
        sys.stdout.write(json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def print_rich(*renderables: object) -> None:
    """Print rich renderables on stdout; in a pipe as plain text, wide enough not to wrap."""
    from rich.console import Console

    class Output(Console):
        """A console that leaves a reader who went away to __main__; rich would exit with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    wide = None if sys.stdout.isatty() else 160
    console = Output(width=wide, highlight=False)
    with _to_a_reader():
        for renderable in renderables:
            console.print(renderable)


@contextmanager
def _to_a_reader() -> Iterator[None]:
    """Turn a pipe that was closed into ReaderWentAway; click would make an exit with 1 of it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderWentAway from None


def note(text: str) -> None:
    """Say something on stderr."""
    click.echo(text, err=True)


@contextmanager
def progress(description: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr while the block runs; quiet in a pipe.

    The block gets a function that takes the fraction done, from 0 to 1.
    """
    if not sys.stderr.isatty():
        yield lambda _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=None)
        yield lambda fraction: bars.update(task, total=1.0, completed=fraction)
