import click
import pytest
from click.testing import CliRunner

from edge.cli.shapes import Shapes, shape_option


@click.command()
@shape_option
def command(shape: Shapes) -> None:
    click.echo(repr(shape))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "{}"),
        (("--shape", "x=1,3,224,224"), "{'x': (1, 3, 224, 224)}"),
        (("--shape", "a:0=2", "--shape", "b=c=4,1"), "{'a:0': (2,), 'b=c': (4, 1)}"),
        (("--shape", "scalar="), "{'scalar': ()}"),
    ],
)
def test_shapes_are_read(arguments: tuple[str, ...], expected: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, done.output) == (0, expected + "\n")


@pytest.mark.parametrize("text", ["x", "1,3", "=1,3", "x=a", "x=1,,3", "x=1x3", "x=-1,3", ""])
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    done = CliRunner().invoke(command, ["--shape", text])
    assert done.exit_code == 2
    wanted = "expected an input's name, =, and sizes: input=1,3,224,224"
    assert f"Invalid value for '--shape': {text}: {wanted}" in done.output


def test_a_shape_given_twice_is_refused() -> None:
    done = CliRunner().invoke(command, ["--shape", "x=1", "--shape", "x=2"])
    assert done.exit_code == 2
    assert "x is given twice" in done.output
