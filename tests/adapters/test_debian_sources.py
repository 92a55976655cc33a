"""Which of the machine's package sources are Debian's, and what they become for another release."""

from pathlib import Path

import pytest

from edge.adapters.debian_sources import KEYRING, Source, machine_sources, sources_text, stanzas

DEB822 = """\
Types: deb
# an older address
URIs: http://one.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE = "http://one.example/debian"


def apt_folder(place: Path, *, listed: str = "", deb822: str = "") -> Path:
    (place / "sources.list.d").mkdir(parents=True)
    (place / "sources.list").write_text(listed)
    (place / "sources.list.d" / "debian.sources").write_text(deb822)
    return place


def test_deb822_sources_become_another_release(tmp_path: Path) -> None:
    assert machine_sources("trixie", apt_folder(tmp_path, deb822=DEB822)) == (
        Source(uri=ONE, suite="trixie"),
        Source(uri=ONE, suite="trixie-updates"),
        Source(uri=f"{ONE}-security", suite="trixie-security"),
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"deb {ONE} stable main contrib", (Source(uri=ONE, suite="bookworm"),)),
        (
            f"deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] {ONE} sid main",
            (Source(uri=ONE, suite="bookworm"),),
        ),
        (f"deb {ONE} bullseye/updates main", (Source(uri=ONE, suite="bookworm-security"),)),
        (f"# deb {ONE} bookworm main", ()),
        (f"deb-src {ONE} bookworm main", ()),
        (f"deb {ONE} bookworm-backports main", ()),
        ("deb http://other.example/apt cloud-sdk-bookworm main", ()),
        ("deb http://other.example/apt bookworm-pgdg main", ()),
        ("deb http://other.example/linux bookworm stable", ()),
        ("deb [signed-by=/k/other.gpg] http://other.example bookworm main", ()),
        ("deb http://ubuntu.example/ubuntu jammy main", ()),
    ],
)
def test_only_debians_own_lines_count(
    line: str, expected: tuple[Source, ...], tmp_path: Path
) -> None:
    assert machine_sources("bookworm", apt_folder(tmp_path, listed=line + "\n")) == expected


def test_a_source_that_is_switched_off_is_none(tmp_path: Path) -> None:
    off = DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n")
    assert machine_sources("trixie", apt_folder(tmp_path, deb822=off)) == ()


def test_a_machine_without_apt_has_no_sources(tmp_path: Path) -> None:
    assert machine_sources("trixie", tmp_path / "nowhere") == ()


def test_the_same_source_counts_once(tmp_path: Path) -> None:
    twice = apt_folder(tmp_path, listed=f"deb {ONE} bookworm main\n", deb822=DEB822)
    assert [s.suite for s in machine_sources("bookworm", twice)] == [
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    ]


def test_every_source_is_held_to_debians_keys() -> None:
    text = sources_text([Source(uri=ONE, suite="trixie")])
    assert text == f"deb [signed-by={KEYRING}] {ONE} trixie main\n"


def test_stanzas_with_continued_fields() -> None:
    text = "Package: a\nDescription: one\n two\n\n\nPackage: b\n"
    assert stanzas(text) == [{"package": "a", "description": "one\ntwo"}, {"package": "b"}]
