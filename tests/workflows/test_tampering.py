"""Of 2,000 bytes flipped one at a time over the whole of a real bundle, every one is found."""

import os
import random
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from made_keys import signer, trust_in
from small_bundle import write_small

from edge.adapters.bundle import write_bundle
from edge.device.bundle import open_bundle
from edge.device.entry import HEAD_BYTES, SIGNATURE_MARK
from edge.device.trust import require_trusted
from edge.errors import BundleError
from edge.records.manifest import MANIFEST_PATH
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

FLIPS = 2_000
# One copy of the bundle for each: hashing leaves the other core free.
_THREADS = 2


def unnoticed(path: Path, places: Sequence[int]) -> list[int]:
    """Return the places where a flipped bit is not found; the file is as before afterwards."""
    shuffled = random.Random(len(places))
    missed = []
    descriptor = os.open(path, os.O_RDWR)
    try:
        for place in places:
            (byte,) = os.pread(descriptor, 1, place)
            os.pwrite(descriptor, bytes([byte ^ 1 << shuffled.randrange(8)]), place)
            try:
                with open_bundle(str(path)) as bundle:
                    bundle.verify_members()
                missed.append(place)
            except BundleError as error:
                shebang = place < len("#!/usr/bin/env python3\n")
                if not error.what.startswith("not a bundle" if shebang else "the file is damaged"):
                    missed.append(place)
            os.pwrite(descriptor, bytes([byte]), place)
    finally:
        os.close(descriptor)
    return missed


@pytest.fixture
def real_bundle(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The signed bundle of the default model for a cloud CPU, as `package` makes it."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    plain = tmp_path / "plain.pyz"
    package_model(resolve_model(None), "cloud-cpu", output=plain)
    path = tmp_path / "signed.pyz"
    with open_bundle(str(plain)) as bundle:
        members = {
            name: bundle.archive.read(name) for name in bundle.members if name != MANIFEST_PATH
        }
        manifest = bundle.manifest
    write_bundle(
        path,
        members,
        lambda files: replace(manifest, files=files),
        lambda _fraction: None,
        signer(1),
    )
    return path


@pytest.mark.network
def test_every_one_of_2000_flipped_bytes_is_found(real_bundle: Path) -> None:
    size = real_bundle.stat().st_size
    head = HEAD_BYTES + len(SIGNATURE_MARK)
    places = {*range(head), *range(size - 100, size)}
    spread = random.Random(0)
    # The rest in equal parts of the file, one place in each.
    parts = FLIPS - len(places)
    for part in range(parts):
        start, end = (
            head + (size - 100 - head) * part // parts,
            head + (size - 100 - head) * (part + 1) // parts,
        )
        places.add(spread.randrange(start, end))
    assert len(places) == FLIPS
    ordered = sorted(places)
    copies = [real_bundle, *(real_bundle.with_suffix(f".{n}") for n in range(1, _THREADS))]
    for copy in copies[1:]:
        shutil.copy(real_bundle, copy)
    with ThreadPoolExecutor(_THREADS) as pool:
        shares = [ordered[n::_THREADS] for n in range(_THREADS)]
        assert list(pool.map(unnoticed, copies, shares)) == [[]] * _THREADS
    for copy in copies:
        with open_bundle(str(copy)) as bundle:
            bundle.verify_members()
            require_trusted(bundle, trust_in(1, target="cloud-cpu"))


def test_every_flipped_byte_of_a_signed_head_is_found(tmp_path: Path) -> None:
    path = tmp_path / "small.pyz"
    write_small(path, signer=signer(1))
    with open_bundle(str(path)) as bundle:
        head = bundle.archive_at
    assert unnoticed(path, range(head + 30)) == []
    with open_bundle(str(path)) as bundle:
        require_trusted(bundle, trust_in(1))
