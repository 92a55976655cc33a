"""The commands run and probe, on parts that lie as files. Device slice: Python 3.8."""

import argparse
import os
import sys

from edge.device.inference import check_samples, config_with, infer, memory_bytes, opened_model
from edge.device.output import print_json, print_line
from edge.device.parts import Unpacked
from edge.errors import HostError, RuntimeFailure, UsageError, printable
from edge.records.codec import to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import Measurement, ModelRef


def require_sound_options(chosen: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is unpacked.

    Raises:
        UsageError: they do not.
    """
    if chosen.command == "run" and (chosen.inputs is None) != (chosen.outputs is None):
        raise UsageError("--inputs and --outputs go together")
    if chosen.threads is not None and chosen.threads < 1:
        raise UsageError("--threads must be at least 1")


def run(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Run the samples and compare with what they must give, or run a user's own inputs."""
    if chosen.inputs is not None:
        return _run_inputs(manifest, parts, chosen)
    answer = check_samples(manifest, parts, config_with(manifest, chosen.threads))
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
            config = config_with(manifest, chosen.threads)
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
    from edge.device.probe import ProbeOptions
    from edge.device.probe import probe as measure
    from edge.device.summary import measurement_lines

    given = {
        "min_s": chosen.min_time,
        "max_s": chosen.max_time,
        "min_queries": chosen.min_queries,
        "warmup_queries": chosen.warm_up,
    }
    options = ProbeOptions(**{key: value for key, value in given.items() if value is not None})
    model = manifest.model
    path, config = opened_model(manifest, parts, config_with(manifest, chosen.threads))
    measurement = measure(
        path,
        config,
        options,
        model=ModelRef(model.name, model.format, model.sha256, model.size_bytes),
        target=manifest.target,
        inputs=parts.path(manifest.samples.path),
        memory_bytes=memory_bytes(manifest, config),
        paths=[parts.site],
    )
    if chosen.output is not None:
        _save(measurement, chosen.output, manifest.name)
    if chosen.json:
        print_json(to_dict(measurement))
    else:
        for line in measurement_lines(measurement):
            print_line(line)
    return 0


def _save(measurement: Measurement, folder: str, name: str) -> None:
    """Write the measurement whole, and through to the disk: it survives a power cut."""
    import json

    path = os.path.join(folder, name + ".measurement.json")
    staged = path + ".part"
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            with open(staged, "w", encoding="utf-8") as file:
                json.dump(to_dict(measurement), file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path)
        finally:
            if os.path.exists(staged):
                os.unlink(staged)
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise HostError(what, where=path, hint="choose another folder for -o") from error
    sys.stderr.write("written: {}\n".format(path))
