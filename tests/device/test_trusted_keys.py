"""Trusted keys as files: what cannot be read is an error, never no key."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_keys import public_bytes, public_pem

from edge.device import trusted_keys
from edge.device.signature import key_id
from edge.device.trusted_keys import Trust, add_key, read_trust, remove_key
from edge.errors import ConfigError, EdgekitError, HostError

ONE, TWO = key_id(public_bytes(1)), key_id(public_bytes(2))


@pytest.fixture
def root(tmp_path: Path, system: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "etc" / "trust"
    monkeypatch.setattr(trusted_keys, "SYSTEM_TRUST", str(folder))
    return folder


def test_a_device_without_folders_trusts_nobody_and_is_nothing(root: Path) -> None:
    assert read_trust(str(root)) == Trust((), None)


def test_a_key_that_is_added_is_read_back(root: Path) -> None:
    before = os.umask(0o077)
    try:
        assert add_key(str(root), public_pem(1), "rpi4") == ONE
    finally:
        os.umask(before)
    trust = read_trust(str(root))
    assert [(key.key_id, key.key) for key in trust.keys] == [(ONE, public_bytes(1))]
    assert trust.target == "rpi4"
    folder = root / "trust"
    assert sorted(p.name for p in folder.iterdir()) == sorted([f"{ONE}.pub", "target"])
    assert (folder / f"{ONE}.pub").read_bytes() == public_pem(1)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o644}


def test_adding_again_changes_nothing_and_another_key_is_one_more(root: Path) -> None:
    for seed, target in ((1, "rpi4"), (1, None), (2, None)):
        add_key(str(root), public_pem(seed), target)
    trust = read_trust(str(root))
    assert {key.key_id for key in trust.keys} == {ONE, TWO}
    assert trust.target == "rpi4"
    add_key(str(root), public_pem(1), "rpi5")
    assert read_trust(str(root)).target == "rpi5"


def test_the_systems_keys_count_too(root: Path, system: Path) -> None:
    system.mkdir(parents=True)
    (system / "vendor.pub").write_bytes(public_pem(2))
    (system / "target").write_text("rpi4\n")
    (system / "README").write_text("not a key")
    assert read_trust(str(root)).target == "rpi4"
    add_key(str(root), public_pem(1), "rpi4")
    add_key(str(root), public_pem(2), None)
    assert [key.key_id for key in read_trust(str(root)).keys] == sorted([ONE, TWO])
    add_key(str(root), public_pem(1), "rpi5")
    with pytest.raises(ConfigError) as caught:
        read_trust(str(root))
    assert str(caught.value) == (
        f"{root}/trust/target: this device is rpi5 here, and rpi4 in {system}/target"
    )


def test_a_key_is_removed(root: Path, system: Path) -> None:
    add_key(str(root), public_pem(1), None)
    remove_key(str(root), ONE)
    assert read_trust(str(root)).keys == ()
    with pytest.raises(ConfigError, match="no such trusted key"):
        remove_key(str(root), ONE)
    system.mkdir(parents=True)
    (system / "vendor.pub").write_bytes(public_pem(2))
    with pytest.raises(ConfigError) as caught:
        remove_key(str(root), TWO)
    assert str(caught.value) == f"{TWO}: this key is not in {root}/trust"
    assert (system / "vendor.pub").exists()


@pytest.mark.parametrize("name", ["../target", "rpi 4", "", "-rf", "rpi\n4", "é", "x" * 101])
def test_an_odd_target_is_refused_and_nothing_is_written(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a target's name"):
        add_key(str(root), public_pem(1), name)
    assert not root.exists()


def as_private(file: Path) -> None:
    file.write_bytes(public_pem(1).replace(b"PUBLIC", b"PRIVATE"))


def as_small_order(file: Path) -> None:
    file.write_bytes(trusted_keys.pem_of(bytes(32)))


def as_huge(file: Path) -> None:
    file.write_bytes(public_pem(1) + b"\n" * (64 << 10))


def writable(file: Path) -> None:
    file.write_bytes(public_pem(1))
    file.chmod(0o666)


def in_a_writable_folder(file: Path) -> None:
    file.write_bytes(public_pem(1))
    file.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("spoil", "error", "what"),
    [
        (lambda f: f.write_bytes(b""), ConfigError, "not a PEM file with one public key"),
        (as_private, ConfigError, "a private key, where a public one belongs"),
        (as_small_order, ConfigError, "no key that anything can be signed with"),
        (as_huge, ConfigError, "too large to be a key"),
        (lambda f: f.mkdir(), HostError, "is a directory"),
        (os.mkfifo, HostError, "not a regular file"),
        (lambda f: f.symlink_to("nowhere"), HostError, "no such file or directory"),
        (lambda f: f.symlink_to(f), HostError, "too many levels of symbolic links"),
        (writable, HostError, "anybody may write to it"),
        (in_a_writable_folder, HostError, "anybody may write to it"),
    ],
)
def test_a_key_file_that_is_none_is_an_error(
    root: Path, spoil: Callable[[Path], object], error: type[EdgekitError], what: str
) -> None:
    add_key(str(root), public_pem(2), None)
    spoil(root / "trust" / "spoilt.pub")
    with pytest.raises(error) as caught:
        read_trust(str(root))
    assert caught.value.what == what
    assert str(caught.value.where).startswith(str(root / "trust"))


def test_a_file_where_the_folder_belongs_is_an_error(root: Path) -> None:
    root.mkdir()
    (root / "trust").write_text("")
    with pytest.raises(HostError) as caught:
        read_trust(str(root))
    assert str(caught.value) == f"{root}/trust: not a directory"
    with pytest.raises(HostError):
        add_key(str(root), public_pem(1), None)


def test_too_many_keys_are_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_keys, "_MOST_KEYS", 1)
    for seed in (1, 2):
        add_key(str(root), public_pem(seed), None)
    with pytest.raises(ConfigError) as caught:
        read_trust(str(root))
    assert str(caught.value) == "2 trusted keys, and 1 are allowed"
