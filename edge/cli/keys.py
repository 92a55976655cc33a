"""edgekit keys: the keys that bundles are signed with."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from edge.cli.output import json_option, note, print_json


@click.group()
def command() -> None:
    """Make and show the keys that bundles are signed with.

    \b
    Example:
      edgekit keys generate
      edgekit keys show edgekit-key.pub
    """


@command.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("edgekit-key"),
    show_default=True,
    metavar="NAME",
    help="The private key; the public one is NAME.pub.",
)
@click.option("--encrypt", is_flag=True, help="Ask for a password and encrypt the private key.")
def generate(output: Path, encrypt: bool) -> None:
    """Write a new Ed25519 key pair, NAME and NAME.pub, and print the key's id.

    With a password in $EDGEKIT_KEY_PASSWORD the private key is encrypted, too.

    \b
    Example:
      edgekit keys generate -o release
    """
    from edge.adapters.keys import PASSWORD_VARIABLE, generate_key
    from edge.errors import UsageError

    password = os.environ.get(PASSWORD_VARIABLE) or None
    if encrypt and password is None:
        if not sys.stdin.isatty():
            hint = f"set {PASSWORD_VARIABLE} instead"
            raise UsageError("--encrypt asks for a password, and this is no terminal", hint=hint)
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    click.echo(generate_key(output, password))
    how = "encrypted, " if password is not None else ""
    note(f"written: {output} ({how}keep it secret) and {output}.pub (for the devices)")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what the key FILE holds: private or public, and the key's id.

    \b
    Example:
      edgekit keys show edgekit-key.pub
    """
    from edge.adapters.keys import describe_key

    key = describe_key(file, password_prompt())
    if key.warning is not None:
        note(f"warning: {key.warning}")
    if as_json:
        print_json(key)
        return
    kind = f"{key.kind} key, Ed25519" + (", encrypted" if key.encrypted else "")
    click.echo(f"{kind}\nkey id       {key.key_id}\nfingerprint  {key.fingerprint}")


def password_prompt() -> Callable[[], str] | None:
    """Return what asks for a key's password, or None where nobody can be asked."""
    if not sys.stdin.isatty():
        return None

    def ask() -> str:
        answer: str = click.prompt("Password of the key", hide_input=True, err=True)
        return answer

    return ask
