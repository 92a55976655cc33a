"""The command `edgekit`, and `python -m edge`: the one place that turns an error into an exit."""

import signal
import sys
from types import FrameType

_INTERRUPTED = 130
_TERMINATED = 143


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that staged files and children go away."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line and exit with the code of docs/reference/exit-codes.md."""
    signal.signal(signal.SIGTERM, _terminate)
    # It may stand anywhere, so that one can repeat the failed command and add it.
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        sys.exit(_run(arguments, debug=len(arguments) < len(sys.argv) - 1))
    except _Terminated:
        _say("terminated")
        sys.exit(_TERMINATED)


def _run(arguments: list[str], *, debug: bool) -> int:
    import click

    import edge.cli
    from edge.errors import EdgekitError, ReaderWentAway

    try:
        status = edge.cli.root.main(arguments, prog_name="edgekit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return _INTERRUPTED
    except EdgekitError as error:
        if debug:
            raise
        _say(f"error: {error}")
        if error.hint:
            _say(f"hint: {error.hint}")
        return error.exit_code
    except ReaderWentAway:
        # Keep the interpreter from flushing into it at its end.
        sys.stdout = None
        return 0
    except Exception as error:
        if debug:
            raise
        _say(f"error: a bug in edgekit: {type(error).__name__}: {error}")
        _say("hint: run it again with --debug and report the traceback")
        return 1
    return status if isinstance(status, int) else 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
