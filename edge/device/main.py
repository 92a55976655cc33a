"""The commands of a bundle: verify, info, run, probe. Device slice: Python 3.8."""

import argparse
import json
import os
import sys
import tempfile
from typing import Any, Dict, List, Optional, Tuple

from edge.device.arguments import bundle_parser
from edge.device.bundle import Bundle, open_bundle
from edge.device.ending import exit_code
from edge.device.fit import Machine, misfits, missing_packages, this_machine
from edge.device.parent import Limits, memory_limit, run_child
from edge.device.probe import ProbeOptions
from edge.device.probe import probe as measure
from edge.device.summary import info_lines, measurement_lines
from edge.device.unpack import Unpacked, unpacked
from edge.errors import BundleError, HostError, RuntimeFailure, UsageError, printable
from edge.records.codec import to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import Measurement, ModelRef, SessionConfig
from edge.units import format_bytes

_MISFIT = BundleError.exit_code


def main(path: str, digest: Optional[str] = None, arguments: Optional[List[str]] = None) -> int:
    """Run a command on the bundle at `path` and return the exit code.

    `digest` is that of the whole file if its bytes were just checked to have it.
    """
    chosen = bundle_parser(os.path.basename(path)).parse_args(arguments)
    commands = {"verify": verify, "info": info, "run": run, "probe": probe}

    # Without PATH Python may not know where it is, and a child needs the same one.
    sys.executable = sys.executable or os.path.realpath("/proc/self/exe")

    def command() -> int:
        with open_bundle(path, digest) as bundle:
            return commands[chosen.command](bundle, chosen)

    return exit_code(command, debug=chosen.debug)


def verify(bundle: Bundle, chosen: argparse.Namespace) -> int:
    """Check every byte, and say apart from it whether the bundle fits this machine."""
    bundle.verify_members()
    machine = this_machine()
    reasons: Tuple[str, ...] = () if chosen.integrity else _misfits(bundle.manifest, machine)
    if chosen.json:
        _print_json(
            {
                "bundle": bundle.manifest.name,
                "target": bundle.manifest.target,
                "sha256": bundle.digest,
                "size_bytes": bundle.size_bytes,
                "intact": True,
                "fits": None if chosen.integrity else not reasons,
                "misfits": list(reasons),
            }
        )
    else:
        count = len(bundle.manifest.files) + 1
        text = "the file is intact: {} members, {}, sha256 {}"
        _print(text.format(count, format_bytes(bundle.size_bytes), bundle.digest))
        for reason in reasons:
            _print("this machine does not fit: {}".format(reason))
        if not reasons and not chosen.integrity:
            text = "this machine fits: {}, Python {}, glibc {}"
            _print(text.format(machine.architecture, machine.python, machine.glibc))
    return _MISFIT if reasons else 0


def info(bundle: Bundle, chosen: argparse.Namespace) -> int:
    """Show the manifest."""
    if chosen.json:
        _print_json(to_dict(bundle.manifest))
        return 0
    for line in info_lines(bundle.manifest, bundle.size_bytes, bundle.digest):
        _print(line)
    return 0


def run(bundle: Bundle, chosen: argparse.Namespace) -> int:
    """Run the samples and compare with what they must give, or run a user's own inputs."""
    if (chosen.inputs is None) != (chosen.outputs is None):
        raise UsageError("--inputs and --outputs go together")
    _require_fit(bundle)
    with unpacked(bundle) as parts:
        if chosen.inputs is not None:
            return _run_inputs(bundle, parts, chosen)
        return _run_samples(bundle, parts, chosen)


def _run_samples(bundle: Bundle, parts: Unpacked, chosen: argparse.Namespace) -> int:
    samples = bundle.manifest.samples
    answer = _child(
        "edge.device.samples:check_samples",
        bundle,
        parts,
        chosen,
        samples=parts.path(samples.path),
        compare=samples.compare,
        atol=samples.atol,
        rtol=samples.rtol,
    )
    agreed, count = answer["agreed"], answer["count"]
    if chosen.json:
        _print_json(answer)
    else:
        _print("{} of {} samples agree".format(agreed, count))
        for told in answer["disagreements"]:
            text = "sample {}, output {}: {}".format(told["sample"], told["output"], told["what"])
            _print(printable(text, 300))
    return 0 if agreed == count else RuntimeFailure.exit_code


def _run_inputs(bundle: Bundle, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Run a user's inputs; the file with the outputs appears whole or not at all."""
    folder = os.path.dirname(os.path.abspath(chosen.outputs))
    try:
        with tempfile.TemporaryDirectory(prefix=".outputs-", dir=folder) as scratch:
            staged = os.path.join(scratch, "outputs.npz")
            answer = _child(
                "edge.device.worker:infer",
                bundle,
                parts,
                chosen,
                shapes={},
                inputs=os.path.abspath(chosen.inputs),
                outputs=staged,
            )
            os.replace(staged, chosen.outputs)
    except OSError as error:
        hint = "choose another place for --outputs"
        raise HostError(
            (error.strerror or str(error)).lower(), where=chosen.outputs, hint=hint
        ) from error
    if chosen.json:
        _print_json(answer)
    else:
        _print("{} samples run, outputs in {}".format(answer["count"], chosen.outputs))
    return 0


def probe(bundle: Bundle, chosen: argparse.Namespace) -> int:
    """Measure the model on this machine."""
    _require_fit(bundle)
    model = bundle.manifest.model
    config = _config(bundle.manifest, chosen)
    with unpacked(bundle) as parts:
        measurement = measure(
            parts.path(model.path),
            config,
            _options(chosen),
            model=ModelRef(model.name, model.format, model.sha256, model.size_bytes),
            target=bundle.manifest.target,
            inputs=parts.path(bundle.manifest.samples.path),
            memory_bytes=_memory_bytes(bundle.manifest, config),
            paths=[parts.site],
        )
    if chosen.output is not None:
        _save(measurement, chosen.output, bundle.manifest.name)
    if chosen.json:
        _print_json(to_dict(measurement))
    else:
        for line in measurement_lines(measurement):
            _print(line)
    return 0


def _options(chosen: argparse.Namespace) -> ProbeOptions:
    given = {
        "min_s": chosen.min_time,
        "max_s": chosen.max_time,
        "min_queries": chosen.min_queries,
        "warmup_queries": chosen.warm_up,
    }
    return ProbeOptions(**{key: value for key, value in given.items() if value is not None})


def _save(measurement: Measurement, folder: str, name: str) -> None:
    """Write the measurement whole, and through to the disk: it survives a power cut."""
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


def _child(
    task: str, bundle: Bundle, parts: Unpacked, chosen: argparse.Namespace, **request: Any
) -> Dict[str, Any]:
    """Run a task on the bundle's model with the bundle's wheels, in a limited child."""
    model = bundle.manifest.model
    config = _config(bundle.manifest, chosen)
    answer: Dict[str, Any] = run_child(
        task,
        {"model": parts.path(model.path), "config": to_dict(config), **request},
        limits=Limits(memory_bytes=_memory_bytes(bundle.manifest, config)),
        what=model.name,
        paths=[parts.site],
    )
    return answer


def _config(manifest: Manifest, chosen: argparse.Namespace) -> SessionConfig:
    if chosen.threads is None:
        return manifest.session
    if chosen.threads < 1:
        raise UsageError("--threads must be at least 1")
    return SessionConfig(manifest.session.backend, chosen.threads)


def _memory_bytes(manifest: Manifest, config: SessionConfig) -> int:
    """Return the address space to allow: for the model, and its arena at twice what is alive."""
    allowed = memory_limit(manifest.model.size_bytes, config.threads)
    return allowed + 2 * (manifest.model.peak_activation_bytes or 0)


def _misfits(manifest: Manifest, machine: Machine) -> Tuple[str, ...]:
    reasons = misfits(manifest, machine)
    packages = missing_packages(manifest)
    if packages and not reasons:
        return ("it lacks {0}: sudo apt-get install {0}".format(" ".join(packages)),)
    return reasons


def _require_fit(bundle: Bundle) -> None:
    reasons = _misfits(bundle.manifest, this_machine())
    if reasons:
        hint = "package the model again, with the --target that this machine is"
        raise BundleError("; ".join(reasons), where=bundle.path, hint=hint)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_json(document: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
