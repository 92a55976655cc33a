"""Opening a bundle: what is refused, and that every damage is found."""

import io
import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_bundle import (
    below_head,
    sealed,
    small_manifest,
)

from edge.device import bundle as bundle_module
from edge.device.bundle import Bundle, open_bundle
from edge.device.entry import HEAD_BYTES, SIGNATURE_MARK
from edge.errors import BundleError, EdgekitError
from edge.records.manifest import BundleFile, Manifest


def refusal(path: Path) -> str:
    """What is said of a bundle that must be refused, members and all."""
    with pytest.raises(BundleError) as caught, open_bundle(str(path)) as bundle:
        bundle.verify_members()
    return caught.value.what


def test_every_flipped_byte_is_found(small: Path, tmp_path: Path) -> None:
    data = small.read_bytes()
    shuffled = random.Random(0)
    ends = [*range(HEAD_BYTES + 60), *range(len(data) - 120, len(data))]
    places = [*ends, *(shuffled.randrange(len(data)) for _ in range(600))]
    damaged = tmp_path / "damaged.pyz"
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << shuffled.randrange(8)
        damaged.write_bytes(flipped)
        with pytest.raises(BundleError), open_bundle(str(damaged)):
            pass


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[: HEAD_BYTES + 3],
        lambda data: data + b"\0",
        lambda data: data + data,
        lambda data: data.replace(b"# edgekit-sha256: ", b"# edgekit-sha512: ", 1),
    ],
    ids=["one byte short", "half", "no archive", "one byte long", "twice", "other mark"],
)
def test_a_file_cut_or_grown_is_refused(
    small: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "damaged.pyz"
    path.write_bytes(damage(small.read_bytes()))
    assert refusal(path) == "the file is damaged: its digest is not the one that it carries"


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pyz"
    path.write_bytes(content)
    assert refusal(path) == "not a bundle"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "not a regular file"
    assert refusal(tmp_path / "missing") == "no such file or directory"
    assert refusal(tmp_path) == "not a regular file"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pyz"
    path.touch()
    os.truncate(path, 1 << 40)
    assert refusal(path) == "too large to be a bundle"


# An archive that somebody made on purpose: its digest is right, and it is refused all the same.


def archive_of(members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    """Write members as the writer does, after `change` had its way with each header."""
    file = io.BytesIO()
    file.write(bytes(HEAD_BYTES) + SIGNATURE_MARK + b"none\n")
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            change(info)
            archive.writestr(info, data)
    return file.getvalue()[HEAD_BYTES:]


def contents(small: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(small) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_is(_info: zipfile.ZipInfo) -> None:
    pass


def as_link(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.external_attr = (stat.S_IFLNK | 0o777) << 16


def as_program(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.external_attr = (stat.S_IFREG | 0o755) << 16


def compressed(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.compress_type = zipfile.ZIP_DEFLATED


def with_extra(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.extra = struct.pack("<HH", 0x9999, 0)


def with_comment(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.comment = b"?"


def with_much_extra(info: zipfile.ZipInfo) -> None:
    if info.filename == "LICENSE":
        info.extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)


@pytest.mark.parametrize(
    ("added", "change", "what"),
    [
        ({}, with_comment, "not a bundle: LICENSE is not a plain file"),
        ({}, with_much_extra, "not a bundle: the directory has more than the members' names"),
        ({}, as_link, "not a bundle: LICENSE is not a plain file"),
        ({}, as_program, "not a bundle: LICENSE is not a plain file"),
        ({}, with_extra, "not a bundle: LICENSE is not a plain file"),
        ({}, compressed, "not a bundle: LICENSE is compressed"),
        ({"../evil": b""}, as_is, "not a bundle: a member has an odd name: ../evil"),
        ({"/etc/evil": b""}, as_is, "not a bundle: a member has an odd name: /etc/evil"),
        ({"a\\b": b""}, as_is, "not a bundle: a member has an odd name: a\\b"),
        ({"a\nb": b""}, as_is, "not a bundle: a member has an odd name: a\\nb"),
        ({".hidden": b""}, as_is, "not a bundle: a member has an odd name: .hidden"),
        ({"-rf": b""}, as_is, "not a bundle: a member has an odd name: -rf"),
        ({"wéb": b""}, as_is, "not a bundle: a member has an odd name: wéb"),
        ({"folder/": b""}, as_is, "not a bundle: a member has an odd name: folder/"),
        ({"x" * 201: b""}, as_is, "not a bundle: a member has an odd name: " + "x" * 199 + "…"),
        ({"license": b""}, as_is, "not a bundle: a name is there twice"),
        ({"unlisted": b""}, as_is, "not a bundle: the manifest does not list unlisted as it is"),
    ],
)
def test_an_odd_archive_is_refused(
    small: Path,
    tmp_path: Path,
    added: dict[str, bytes],
    change: Callable[[zipfile.ZipInfo], None],
    what: str,
) -> None:
    path = tmp_path / "odd.pyz"
    path.write_bytes(sealed(archive_of({**contents(small), **added}, change)))
    assert refusal(path) == what


def test_a_member_that_is_there_twice_is_refused(small: Path, tmp_path: Path) -> None:
    members = contents(small)
    file = tmp_path / "twice.pyz"
    file.write_bytes(sealed(archive_of(members, as_is)))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("LICENSE")
        info.create_system = 3
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(info, b"another")
    file.write_bytes(sealed(below_head(file.read_bytes())))
    assert refusal(file) == "not a bundle: a name is there twice"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m.pop("LICENSE"), "not a bundle: LICENSE is listed and not there"),
        (
            lambda m: m.pop("manifest.json"),
            "not a bundle: no manifest.json of at most 4 MiB",
        ),
        (
            lambda m: m.update({"LICENSE": m["LICENSE"] + b"!"}),
            "not a bundle: the manifest does not list LICENSE as it is",
        ),
        (
            lambda m: m.update({"LICENSE": b"!" + m["LICENSE"][1:]}),
            "the bundle is damaged: LICENSE is not what the manifest lists",
        ),
        (
            lambda m: m.update({"manifest.json": b'"'}),
            "not a bundle: manifest.json is not JSON: Unterminated string starting at",
        ),
        (
            lambda m: m.update({"manifest.json": b"[" * 100_000}),
            "not a bundle: manifest.json is not JSON: maximum recursion depth exceeded",
        ),
        (
            lambda m: m.update({"manifest.json": b'{"sequence": ' + b"9" * 100_000 + b"}"}),
            "not a bundle: manifest.json is not JSON: an integer has 100000 digits",
        ),
        (
            lambda m: m.update({"manifest.json": m["manifest.json"] + b" " * (4 << 20)}),
            "not a bundle: no manifest.json of at most 4 MiB",
        ),
        (
            lambda m: m.update({"manifest.json": b'{"schema_version": "3.0"}'}),
            "manifest.json: schema_version: version 3.0 is newer than this edgekit reads (2.1)",
        ),
        (
            lambda m: m.update({"manifest.json": b'{"schema_version": "2.0"}'}),
            "manifest.json: name: missing key",
        ),
    ],
)
def test_content_that_the_manifest_does_not_say_is_refused(
    small: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], object], what: str
) -> None:
    members = contents(small)
    change(members)
    path = tmp_path / "odd.pyz"
    path.write_bytes(sealed(archive_of(members, as_is)))
    assert refusal(path).startswith(what)


def test_bytes_between_the_members_are_refused(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.pyz"
    line, archive = below_head(small.read_bytes()).split(b"\n", 1)
    path.write_bytes(sealed(line + b"\n" + b"hidden" + archive))
    assert refusal(path) == "not a bundle: something stands between the archive's parts"


def test_too_many_members_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MOST_MEMBERS", 3)
    count = len(contents(small))
    assert refusal(small) == f"not a bundle: {count} members, and 3 are allowed"


def test_no_damage_with_a_right_digest_is_a_bug(small: Path, tmp_path: Path) -> None:
    """Flips behind a digest that was made to fit: harmless, or refused with an error of ours."""
    below = below_head(small.read_bytes())
    shuffled = random.Random(1)
    manifest_at = below.index(b'"schema_version"')
    directory_at = below.index(b"PK\x01\x02")
    path = tmp_path / "hostile.pyz"
    for start, end in ((manifest_at, manifest_at + 6000), (directory_at, len(below))):
        for _ in range(200):
            flipped = bytearray(below)
            flipped[shuffled.randrange(start, end)] ^= 1 << shuffled.randrange(8)
            path.write_bytes(sealed(bytes(flipped)))
            try:
                with open_bundle(str(path)) as bundle:
                    bundle.verify_members()
            except EdgekitError:
                pass


# The manifest.


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ((("a", 1), ("a", 1)), "files: a path is listed twice, or differs only in case"),
        ((("a", 1), ("A", 1)), "files: a path is listed twice, or differs only in case"),
        ((("Manifest.json", 1),), "files: a path is listed twice, or differs only in case"),
    ],
)
def test_a_manifest_that_lists_twice_is_refused(
    opened: Bundle, files: tuple[tuple[str, int], ...], what: str
) -> None:
    more = tuple(BundleFile(path, size, "0" * 64) for path, size in files)
    with pytest.raises(ValueError, match="^" + what + "$"):
        replace(opened.manifest, files=opened.manifest.files + more)


@pytest.mark.parametrize(
    ("path", "size", "digest"),
    [("../a", 1, "0" * 64), ("a", -1, "0" * 64), ("a", 1, "0" * 63), ("a", 1, "A" * 64)],
)
def test_an_odd_listing_is_refused(path: str, size: int, digest: str) -> None:
    with pytest.raises(ValueError, match=r"^not a "):
        BundleFile(path, size, digest)


def test_a_manifest_speaks_only_of_what_it_lists(opened: Bundle) -> None:
    manifest = opened.manifest
    without = tuple(file for file in manifest.files if file.path != "samples.npz")
    with pytest.raises(ValueError, match=r"samples\.npz is not listed"):
        replace(manifest, files=without)
    model = replace(manifest.model, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"model/digits\.onnx is not listed as it is"):
        replace(manifest, model=model)
    samples = replace(manifest.samples, path="LICENSE")
    replace(manifest, samples=samples)


def test_the_small_manifest_is_the_one_that_is_read(opened: Bundle) -> None:
    assert opened.manifest == small_manifest(opened.manifest.files)
    assert isinstance(opened.manifest, Manifest)
