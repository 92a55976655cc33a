"""The commands on a bundle that is a file. Device slice: Python 3.8."""

import argparse
import os
import sys
from typing import Any, Dict, List, Optional, Tuple

from edge.device.accept import reasons_against, require_accepted
from edge.device.bundle import Bundle
from edge.device.durable import locked
from edge.device.fit import this_machine
from edge.device.install import Installation, install
from edge.device.output import print_json, print_line
from edge.device.place import Place, make_usable
from edge.device.running import count, probe, require_sound_options, run
from edge.device.summary import info_lines
from edge.device.systemd import checked_words, unit_text, write_unit
from edge.device.tool import write_tool
from edge.device.trust import add_key, read_trust, remove_key, require_trusted, signature_words
from edge.device.unpack import unpacked
from edge.errors import BundleError, HostError, UsageError
from edge.records.codec import to_dict
from edge.units import format_bytes

_SHORT = 12


def verify(bundle: Bundle, place: Place, chosen: argparse.Namespace) -> int:
    """Check every byte, and say apart from it whether the bundle fits this machine."""
    bundle.verify_members()
    signature = signature_words(bundle, read_trust(place.root))
    machine = this_machine()
    reasons: Tuple[str, ...] = ()
    if not chosen.integrity:
        reasons = reasons_against(bundle.manifest, machine)
    if chosen.json:
        print_json(
            {
                "bundle": bundle.manifest.name,
                "target": bundle.manifest.target,
                "sha256": bundle.digest,
                "size_bytes": bundle.size_bytes,
                "intact": True,
                "signature": signature,
                "fits": None if chosen.integrity else not reasons,
                "misfits": list(reasons),
            }
        )
        return BundleError.exit_code if reasons else 0
    count = len(bundle.manifest.files) + 1
    text = "the file is intact: {} members, {}, sha256 {}"
    print_line(text.format(count, format_bytes(bundle.size_bytes), bundle.digest))
    print_line("signature: {}".format(signature))
    for reason in reasons:
        print_line("this machine does not fit: {}".format(reason))
    if not reasons and not chosen.integrity:
        text = "this machine fits: {}, Python {}, glibc {}"
        print_line(text.format(machine.architecture, machine.python, machine.glibc))
    return BundleError.exit_code if reasons else 0


def info(bundle: Bundle, place: Place, chosen: argparse.Namespace) -> int:
    """Show the manifest."""
    if chosen.json:
        print_json(to_dict(bundle.manifest))
        return 0
    count = len(bundle.manifest.files) + 1
    size = "{} in {} members".format(format_bytes(bundle.size_bytes), count)
    for line in info_lines(bundle.manifest, size, bundle.digest):
        print_line(line)
    print_line("{:<11} {}".format("signature", signature_words(bundle, read_trust(place.root))))
    return 0


def use(bundle: Bundle, place: Place, chosen: argparse.Namespace) -> int:
    """Run or probe the bundle from the cache, without installing it."""
    require_sound_options(chosen)
    require_accepted(bundle, place.root)
    with unpacked(bundle) as parts:
        commands = {"run": run, "probe": probe, "count": count}
        return commands[chosen.command](bundle.manifest, parts, chosen)


def install_file(bundle: Bundle, place: Place, chosen: argparse.Namespace) -> int:
    """Install the bundle and, where that is asked for, write a unit that runs it."""
    if not chosen.systemd and (chosen.systemd_folder is not None or chosen.words):
        raise UsageError("--systemd-folder, and a command after --, go with --systemd")
    command = checked_words(chosen.words) if chosen.systemd else []
    done = install(bundle, place, allow_older=chosen.allow_older)
    unit = None
    if chosen.systemd:
        model = bundle.manifest.model.name
        text = unit_text(bundle.manifest.name, model, done.launcher, place.root, command)
        unit = write_unit(place, chosen.systemd_folder, bundle.manifest.name, text)
    if chosen.json:
        print_json(_told(bundle, done, unit))
    else:
        for line in _lines(bundle, done, unit):
            print_line(line)
    return 0


def _told(bundle: Bundle, done: Installation, unit: Optional[str]) -> Dict[str, Any]:
    return {
        "name": done.version.name,
        "sha256": done.version.digest,
        "sequence": bundle.manifest.sequence,
        "target": bundle.manifest.target,
        "folder": done.version.folder,
        "launcher": done.launcher,
        "tool": done.tool,
        "was_current": done.was,
        "previous": None if done.previous is None else done.previous.digest,
        "samples_agreed": done.samples,
        "unit": unit,
    }


def _lines(bundle: Bundle, done: Installation, unit: Optional[str]) -> List[str]:
    name, short = done.version.name, done.version.digest[:_SHORT]
    if done.was == "this version":
        lines = ["{} {} is installed already, and whole".format(name, short)]
    else:
        verb = "repaired" if done.was == "this version, damaged" else "installed"
        sequence = bundle.manifest.sequence
        lines = ["{} {} {}, sequence {}".format(verb, name, short, sequence)]
    if done.samples is not None:
        lines.append("self-test: {0} of {0} samples agree".format(done.samples))
    if done.previous is not None:
        lines.append("rollback: to {}".format(done.previous.digest[:_SHORT]))
    lines.append("run it: {} run".format(done.launcher))
    if unit is not None:
        lines.append("unit: {}".format(unit))
        lines.append("enable it: sudo systemctl enable --now {}".format(unit))
    return lines


def trust_in(place: Place, chosen: argparse.Namespace, bundle: Optional[Bundle] = None) -> int:
    """Add, remove or list the keys that this device trusts; `bundle` brings the resident tool."""
    if chosen.key is not None and chosen.remove is not None:
        raise UsageError("a key to trust, or --remove, and not both")
    if chosen.target is not None and chosen.key is None:
        raise UsageError("--target goes with a key")
    added = None
    if chosen.key is not None or chosen.remove is not None:
        make_usable(place)
        with locked(place.lock):
            if bundle is not None:
                # Who is not trusted does not say who is; the first key comes with any bundle.
                require_trusted(bundle, read_trust(place.root))
            if chosen.remove is not None:
                remove_key(place.root, chosen.remove)
            else:
                added = add_key(place.root, _read_key(chosen.key), chosen.target)
            if bundle is not None:
                write_tool(place, bundle)
    trust = read_trust(place.root)
    keys = [key.key_id for key in trust.keys]
    if chosen.json:
        print_json({"added": added, "keys": keys, "target": trust.target})
        return 0
    for key in keys:
        print_line("trusted: {}".format(key))
    if not keys:
        print_line("no key is trusted: every bundle that is whole is accepted")
    if trust.target is not None:
        print_line("only bundles for the target {} are accepted".format(trust.target))
    if added is not None:
        program = os.path.join(place.programs, "edgekit")
        sys.stderr.write("from now on install with: {} install FILE\n".format(program))
    return 0


def _read_key(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise HostError((error.strerror or str(error)).lower(), where=path) from error
