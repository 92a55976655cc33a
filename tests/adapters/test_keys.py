"""Keys in files: made once, never written over, and clear words for what is no key."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from made_keys import public_pem

from edge.adapters.keys import (
    describe_key,
    generate_key,
    load_private_key,
    load_public_key,
)
from edge.device.signature import key_id
from edge.errors import ConfigError, HostError


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_KEY_PASSWORD", raising=False)


def test_a_pair_is_written(tmp_path: Path) -> None:
    path = tmp_path / "release"
    before = os.umask(0)
    try:
        named = generate_key(path)
    finally:
        os.umask(before)
    public = tmp_path / "release.pub"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release", "release.pub"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert load_private_key(path).key_id == named == key_id(load_public_key(public))
    for file, kind, encrypted in ((path, "private", False), (public, "public", None)):
        told = describe_key(file)
        assert (told.kind, told.key_id, told.encrypted, told.warning) == (
            kind,
            named,
            encrypted,
            None,
        )
        assert told.fingerprint.replace(" ", "") == named
    assert generate_key(tmp_path / "another") != named


@pytest.mark.parametrize("taken", ["release", "release.pub"])
@pytest.mark.parametrize("link", [False, True])
def test_no_key_is_written_over(tmp_path: Path, taken: str, *, link: bool) -> None:
    if link:
        (tmp_path / taken).symlink_to("nowhere")
    else:
        (tmp_path / taken).write_text("mine")
    with pytest.raises(HostError) as caught:
        generate_key(tmp_path / "release")
    assert str(caught.value) == (
        f"{tmp_path / taken}: it is there already, and no key is written over"
    )
    assert [p.name for p in tmp_path.iterdir()] == [taken]


def test_a_name_that_is_taken_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "release.pub"
    public.write_text("mine")
    monkeypatch.setattr(os.path, "lexists", lambda _path: False)
    with pytest.raises(HostError, match="it is there already"):
        generate_key(tmp_path / "release")
    assert [p.name for p in tmp_path.iterdir()] == ["release.pub"]
    assert public.read_text() == "mine"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        generate_key(tmp_path / "no" / "release")
    assert caught.value.what == "no such file or directory"
    assert caught.value.hint == "create the folder first"


def test_a_password_is_asked_for_or_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "release"
    named = generate_key(path, "sesame")
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_private_key(path, lambda: "sesame").key_id == named
    assert describe_key(path, lambda: "sesame").encrypted is True
    with pytest.raises(ConfigError) as caught:
        load_private_key(path)
    assert caught.value.what == "the key has a password"
    assert caught.value.hint == "set EDGEKIT_KEY_PASSWORD, or run this on a terminal"
    for wrong in ("Sesame", ""):
        with pytest.raises(ConfigError) as caught:
            load_private_key(path, lambda wrong=wrong: wrong)  # type: ignore[misc]
        assert caught.value.what == "the password is wrong, or the key is damaged"
    monkeypatch.setenv("EDGEKIT_KEY_PASSWORD", "sesame")
    assert load_private_key(path).key_id == named
    generate_key(tmp_path / "plain")
    load_private_key(tmp_path / "plain")


def test_a_key_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "release"
    generate_key(path)
    path.chmod(0o644)
    warning = f"{path}: others may use this private key: chmod 600 {path}"
    assert load_private_key(path).warning == describe_key(path).warning == warning


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def openssh() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pem(rsa.generate_private_key(65537, 2048)), "another kind of key than Ed25519: RSA"),
        (
            pem(ec.generate_private_key(ec.SECP256R1())),
            "another kind of key than Ed25519: EC",
        ),
        (public_pem(1), "a public key, which cannot sign"),
        (openssh(), "not a private key in PEM"),
        (b"", "not a private key"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "not a private key in PEM",
        ),
    ],
    ids=["rsa", "ec", "public", "openssh", "empty", "damaged"],
)
def test_what_cannot_sign_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_private_key(path)
    assert str(caught.value) == f"{path}: {what}"


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, what in (
        ("gone", "no such file"),
        ("pipe", "not a regular file"),
        ("", "is a directory"),
    ):
        for load in (load_private_key, load_public_key, describe_key):
            with pytest.raises(ConfigError) as caught:
                load(tmp_path / name)
            assert caught.value.what == what


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    generate_key(tmp_path / "release")
    with pytest.raises(ConfigError) as caught:
        load_public_key(tmp_path / "release")
    assert caught.value.what == "a private key, where a public one belongs"
