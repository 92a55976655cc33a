"""The commands run, probe and count, on parts that lie as files. Device slice: Python 3.8."""

import argparse
import os

from edge.device.inference import check_samples, config_with, infer
from edge.device.output import print_json, print_line
from edge.device.parts import Unpacked
from edge.errors import HostError, RuntimeFailure, UsageError, printable
from edge.records.manifest import Manifest


def require_sound_options(chosen: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is unpacked.

    Raises:
        UsageError: they do not.
    """
    if chosen.command == "run" and (chosen.inputs is None) != (chosen.outputs is None):
        raise UsageError("--inputs and --outputs go together")
    if chosen.command != "count" and chosen.threads is not None and chosen.threads < 1:
        raise UsageError("--threads must be at least 1")
    if chosen.command == "probe":
        from edge.device.probe_arguments import require_sound_probe

        require_sound_probe(chosen)


def run(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Run the samples and compare with what they must give, or run a user's own inputs."""
    if chosen.inputs is not None:
        return _run_inputs(manifest, parts, chosen)
    answer = check_samples(manifest, parts, config_with(manifest, chosen.threads, parts))
    agreed, count = answer["agreed"], answer["count"]
    if chosen.json:
        print_json(answer)
    else:
        print_line("{} of {} samples agree".format(agreed, count))
        for told in answer["disagreements"]:
            text = "sample {}, output {}: {}".format(told["sample"], told["output"], told["what"])
            print_line(printable(text, 300))
    return 0 if agreed == count else RuntimeFailure.exit_code


def _run_inputs(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Run a user's inputs; the file with the outputs appears whole or not at all."""
    import tempfile

    folder = os.path.dirname(os.path.abspath(chosen.outputs))
    try:
        with tempfile.TemporaryDirectory(prefix=".outputs-", dir=folder) as scratch:
            staged = os.path.join(scratch, "outputs.npz")
            config = config_with(manifest, chosen.threads, parts)
            answer = infer(manifest, parts, config, os.path.abspath(chosen.inputs), staged)
            os.replace(staged, chosen.outputs)
    except OSError as error:
        hint = "choose another place for --outputs"
        raise HostError(
            (error.strerror or str(error)).lower(), where=chosen.outputs, hint=hint
        ) from error
    if chosen.json:
        print_json(answer)
    else:
        print_line("{} samples run, outputs in {}".format(answer["count"], chosen.outputs))
    return 0


def probe(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Measure the model on this machine."""
    # Only this command needs the facts of the machine and the statistics.
    from edge.device.probing import run_probe

    return run_probe(manifest, parts, chosen)


def count(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Load and run the model with marks for an emulator that counts instructions."""
    # Nobody needs it on a device.
    from edge.device import counting

    return counting.count(manifest, parts, chosen)
