"""The command line: one file a command, imported when it is called."""

import importlib

import click

import edge

# Name, module and one line for --help. It stands here so that --help imports no command.
_COMMANDS = {
    "inspect": "What a model is: inputs, size, MACs, memory, operators, risks.",
    "optimize": "Smaller and faster variants, each with its accuracy check.",
    "import": "An estimator of scikit-learn, XGBoost or LightGBM to ONNX.",
    "distill": "A smaller student, trained on a model's answers without labels.",
    "package": "Write the one file that runs the model on the target, offline.",
    "verify": "Is a bundle as it was written, and who signed it?",
    "keys": "Make and show the keys that bundles are signed with.",
    "emulate": "Run a bundle as on its target: without the board, in CI.",
    "probe": "Measure the model on this machine: latency that one may quote.",
    "compare": "Is B slower than A? Measurements pair by pair, for gates too.",
    "advise": "Edge, cloud CPU or cloud GPU: why, and what it costs.",
    "report": "One HTML page from the results, to look at and to hand on.",
    "targets": "List and show the targets.",
    "models": "List and fetch real models.",
    "doctor": "What this machine can do, and what it lacks.",
}

# Modules whose name cannot be the command's.
_MODULES = {"import": "import_model"}


class _LazyGroup(click.Group):
    """A group that imports a command only when it is run or asked for its own help."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order of the work."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of a command."""
        if name not in _COMMANDS:
            return None
        module = _MODULES.get(name, name)
        command: click.Command = importlib.import_module(f"edge.cli.{module}").command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(edge.__version__, prog_name="edgekit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def root(debug: bool) -> None:
    """Tell whether a model runs well enough on an edge board or a cloud CPU, or needs a GPU."""
