"""The commands on what is installed. Device slice: Python 3.8."""

import argparse
import os
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from edge.device.accept import reasons_against
from edge.device.durable import flush_folder, locked
from edge.device.fit import this_machine
from edge.device.launcher import write_launcher
from edge.device.output import print_json, print_line
from edge.device.parts import file_digest, parts_in, read_listing
from edge.device.place import Place, plain_name
from edge.device.settings import read_settings, settings_line
from edge.device.summary import info_lines
from edge.device.versions import (
    Version,
    current_version,
    installed_names,
    previous_version,
    remove_bundle,
    require_current,
    switch,
)
from edge.errors import BundleError, EdgekitError, HostError, printable
from edge.records.codec import to_dict
from edge.units import format_bytes

_SHORT = 12
_MOST_TOLD = 5
_AGAIN = "install it again"


def list_installed(place: Place, chosen: argparse.Namespace) -> int:
    """Show what is installed, current and previous versions."""
    rows = [row for name in installed_names(place) for row in _rows(place, name)]
    if chosen.json:
        print_json({"root": place.root, "bundles": rows})
        return 0
    if not rows:
        print_line("nothing is installed in {}".format(place.root))
    for row in rows:
        state = row["state"] + (", whole" if row["whole"] else ", damaged: " + _AGAIN)
        text = "{name:<24} {short} sequence {sequence}  {target}  {model}  {size}  {state}"
        size = format_bytes(row["size_bytes"])
        shown = {**row, "short": row["sha256"][:_SHORT], "size": size, "state": state}
        print_line(text.format(**shown))
    return 0


def _rows(place: Place, name: str) -> List[Dict[str, Any]]:
    found: List[Tuple[str, Optional[Version]]] = [
        ("current", current_version(place, name)),
        ("previous", previous_version(place, name)),
    ]
    return [_row(version, state) for state, version in found if version is not None]


def _row(version: Version, state: str) -> Dict[str, Any]:
    told: Dict[str, Any] = {"target": None, "sequence": None, "model": None}
    try:
        manifest = version.manifest()
    except EdgekitError:
        is_readable = False
    else:
        is_readable = True
        told = {
            "target": manifest.target,
            "sequence": manifest.sequence,
            "model": manifest.model.name,
        }
    return {
        "name": version.name,
        "sha256": version.digest,
        **told,
        "state": state,
        "size_bytes": version.size_bytes(),
        "whole": is_readable and version.is_whole(),
        "folder": version.folder,
    }


def rollback(place: Place, name: str, chosen: argparse.Namespace) -> int:
    """Make the previous version current, and the current one previous."""
    require_current(place, plain_name(name))
    with _changing(place):
        current, previous = require_current(place, name), previous_version(place, name)
        if previous is None:
            what = "there is no version before the current one"
            raise BundleError(what, where=name, hint="install another one")
        if not previous.is_whole():
            what = "the version before is damaged"
            raise BundleError(what, where=previous.folder, hint=_AGAIN)
        switch(place, name, previous, current)
        write_launcher(place, name)
    if chosen.json:
        print_json({"name": name, "current": previous.digest, "previous": current.digest})
    else:
        text = "{} {} is current again; rollback goes to {}"
        print_line(text.format(name, previous.digest[:_SHORT], current.digest[:_SHORT]))
    return 0


def uninstall(place: Place, name: str, chosen: argparse.Namespace) -> int:
    """Remove a bundle: its launcher, its unit and every version."""
    require_current(place, plain_name(name))
    unit = os.path.join(place.units, name + ".service")
    had_unit = False
    with _changing(place):
        for path in (place.program(name), unit):
            if os.path.lexists(path):
                os.unlink(path)
                flush_folder(os.path.dirname(path))
                had_unit = had_unit or path == unit
        remove_bundle(place, name)
    if chosen.json:
        print_json({"name": name, "uninstalled": True})
    else:
        print_line("{} is uninstalled".format(name))
    if had_unit:
        text = "its unit is gone, too; if it was enabled: sudo systemctl disable {}.service\n"
        sys.stderr.write(text.format(name))
    return 0


def verify(version: Version, chosen: argparse.Namespace) -> int:
    """Compare every installed file with what was recorded, and members with the manifest."""
    manifest = version.manifest()
    members = {file.path: file.sha256 for file in manifest.files}
    damaged: List[str] = []
    try:
        rows = read_listing(version.folder)
        for path, _, digest in rows:
            if not _is(os.path.join(version.folder, path), {digest, members.get(path, digest)}):
                damaged.append(path)
    except (OSError, ValueError, TypeError) as error:
        what = "its listing cannot be read: {}".format(error)
        raise BundleError(what, where=version.folder, hint=_AGAIN) from error
    machine = this_machine()
    reasons = () if chosen.integrity else reasons_against(manifest, machine)
    if chosen.json:
        print_json(
            {
                "bundle": manifest.name,
                "target": manifest.target,
                "sha256": version.digest,
                "size_bytes": version.size_bytes(),
                "intact": not damaged,
                "damaged": damaged,
                "fits": None if chosen.integrity else not reasons,
                "misfits": list(reasons),
            }
        )
        return BundleError.exit_code if reasons or damaged else 0
    for path in damaged[:_MOST_TOLD]:
        print_line("damaged: {}".format(printable(path)))
    if damaged:
        what = "{} of {} installed files are not as they were".format(len(damaged), len(rows))
        raise BundleError(what, where=version.folder, hint=_AGAIN)
    text = "the installed bundle is intact: {} files, {}, from sha256 {}"
    print_line(text.format(len(rows), format_bytes(version.size_bytes()), version.digest))
    for reason in reasons:
        print_line("this machine does not fit: {}".format(reason))
    return BundleError.exit_code if reasons else 0


def _is(path: str, digests: Set[str]) -> bool:
    try:
        return os.path.isfile(path) and {file_digest(path)} == digests
    except OSError:
        return False


def info(version: Version, chosen: argparse.Namespace) -> int:
    """Show the manifest of an installed bundle."""
    manifest = version.manifest()
    if chosen.json:
        print_json(to_dict(manifest))
        return 0
    size = "{} installed".format(format_bytes(version.size_bytes()))
    for line in info_lines(manifest, size, version.digest):
        print_line(line)
    told = settings_line(read_settings(manifest, parts_in(version.folder)))
    if told is not None:
        print_line("settings    {}".format(told))
    return 0


@contextmanager
def _changing(place: Place) -> Iterator[None]:
    """Keep others out; a failure of the disk is one of this machine."""
    try:
        with locked(place.lock):
            yield
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise HostError(what, where=error.filename or place.root) from error
