"""edgekit verify: is a bundle as it was written, and who signed it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, print_json

if TYPE_CHECKING:
    from edge.workflows.verify import VerifiedBundle


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="KEY.pub",
    help="Refuse a bundle that was not signed with this key.",
)
@json_option
def command(bundle: Path, key: Path | None, as_json: bool) -> None:
    """Check every byte of BUNDLE, and with --key who signed it; nothing of it is run.

    \b
    Example:
      edgekit verify digits.pyz
      edgekit verify digits.pyz --key edgekit-key.pub
    """
    from edge.workflows.verify import verify_bundle

    verified = verify_bundle(bundle, key)
    if as_json:
        print_json(verified)
        return
    for line in _lines(verified):
        click.echo(line)


def _lines(verified: "VerifiedBundle") -> list[str]:
    from edge.errors import printable
    from edge.units import format_bytes

    size = format_bytes(verified.size_bytes)
    intact = f"intact: {verified.members} members, {size}, sha256 {verified.sha256}"
    made = f"{verified.name} for {verified.target}, sequence {verified.sequence}"
    if verified.signed_by is not None:
        signed = f"signed by {verified.signed_by}, the key that was given"
    elif verified.named_keys:
        named = ", ".join(printable(name) for name in verified.named_keys)
        signed = f"signed by {named}, by its own word: check it with --key KEY.pub"
    else:
        signed = "unsigned"
    return [intact, printable(made), signed]
