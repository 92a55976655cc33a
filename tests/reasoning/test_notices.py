"""What a wheel's licence files and SBOMs tell of the things that it brings along."""

import json
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.notices import bundled_parts
from edge.records.part import EmbeddedSbom, Licence, Part, WheelFacts, WheelLibrary, WheelText

STANZAS = """\
Copyright (c) somebody

----

Name: OpenBLAS
Files: tiny.libs/libscipy_openblas*.so
Description: bundled as a dynamically linked library
Availability: https://github.com/OpenMathLib/OpenBLAS/
License: BSD-3-Clause
  Copyright (c) 2011-2014, The OpenBLAS Project

Name: LAPACK
Files: tiny.libs/libscipy_openblas*.so
License 3-clause BSD

Name: GCC runtime library
Files: tiny.libs/libgfortran*.so
Availability: not an address
License: GPLv3 + runtime exception

Name: libquadmath
Files: tiny.libs/libquadmath*.so
License: LGPL-2.1-or-later

Name: inner
Files: tiny/inner/*
License: Zlib

Name: Meson
Files: vendored-meson/*
License: Apache 2.0

Name: half a stanza
"""
NOTICES = """\
THIRD PARTY SOFTWARE NOTICES

_____

boost

Boost Software License - Version 1.0 - August 17th, 2003
... unless generated as machine-executable object code

_____

odd\x1b one
Something of its own.
_____
"""


def facts(
    *,
    texts: tuple[WheelText, ...] = (),
    libraries: tuple[str, ...] = (),
    sboms: tuple[EmbeddedSbom, ...] = (),
) -> WheelFacts:
    return WheelFacts(
        name="tiny",
        version="1.0",
        licence_expression="MIT",
        licence=None,
        classifiers=(),
        requires=(),
        homepage=None,
        texts=texts,
        libraries=tuple(
            WheelLibrary(path=f"tiny.libs/{name}", size_bytes=7, sha256="0" * 64)
            for name in libraries
        ),
        sboms=sboms,
        top_folders=frozenset({"tiny", "tiny.libs"}),
        compiled=True,
    )


def test_stanzas_tell_what_libraries_are_made_of() -> None:
    text = WheelText(path="LICENSE", text=STANZAS)
    names = ("libscipy_openblas64_-7220728c.so", "libgfortran-daac5196-038a5e3c.so.5.0.0")
    # The same file lies in two places of some wheels: nothing is listed twice.
    again = WheelText(path="tiny/LICENSE", text=STANZAS)
    blas, fortran, inner = bundled_parts(facts(texts=(text, again), libraries=names), "w")
    assert blas == Part(
        ref="w/tiny.libs/libscipy_openblas64_-7220728c.so",
        kind="library",
        name="libscipy_openblas64_.so",
        licence=Licence(expression="BSD-3-Clause", note="those of its parts"),
        sha256="0" * 64,
        facts=(("path", "tiny.libs/libscipy_openblas64_-7220728c.so"), ("size_bytes", "7")),
        parts=(
            Part(
                ref="w/tiny.libs/libscipy_openblas64_-7220728c.so#0",
                kind="library",
                name="OpenBLAS",
                licence=Licence(expression="BSD-3-Clause", note="LICENSE, line 5"),
                website="https://github.com/OpenMathLib/OpenBLAS/",
                facts=(("licence_text", "LICENSE, line 5"),),
            ),
            Part(
                ref="w/tiny.libs/libscipy_openblas64_-7220728c.so#1",
                kind="library",
                name="LAPACK",
                licence=Licence(expression="BSD-3-Clause", note="LICENSE, line 12"),
                facts=(("licence_text", "LICENSE, line 12"),),
            ),
        ),
    )
    assert (fortran.name, fortran.parts[0].website) == ("libgfortran.so.5.0.0", None)
    assert fortran.licence == Licence(note="the licences of its parts: GPLv3 + runtime exception")
    assert (inner.name, str(inner.licence)) == ("inner", "Zlib")


def test_a_library_that_no_licence_file_names_is_unknown() -> None:
    (part,) = bundled_parts(facts(libraries=("libmystery.so",)), "w")
    assert part.licence == Licence(note="no licence file of the wheel speaks of this library")


def test_notices_are_listed_with_their_place() -> None:
    boost, odd = bundled_parts(
        facts(texts=(WheelText(path="tiny/ThirdPartyNotices.txt", text=NOTICES),)), "w"
    )
    where = "tiny/ThirdPartyNotices.txt, line 5"
    assert (boost.name, boost.ref) == ("boost", "w/tiny/ThirdPartyNotices.txt#5")
    assert boost.licence == Licence(
        expression="BSL-1.0", concluded=True, note=f"by its text: {where}"
    )
    assert odd.name == "odd\\x1b one"
    assert odd.licence == Licence(
        note="not one well-known licence alone; its text: tiny/ThirdPartyNotices.txt, line 12"
    )


def test_a_real_sbom_inside_a_wheel_is_taken_over() -> None:
    files = metadata.distribution("onnx").files or ()
    (path,) = [file for file in files if "/sboms/" in str(file)]
    sbom = EmbeddedSbom(path=str(path), content=path.read_binary())
    listed = json.loads(sbom.content)["components"]
    parts = bundled_parts(facts(sboms=(sbom,)), "w")
    assert [(part.name, part.version, part.purl) for part in parts] == [
        (component["name"], component["version"], component["purl"]) for component in listed
    ]
    assert {part.name: str(part.licence) for part in parts}["abseil-cpp"] == "Apache-2.0"


def sbom_of(*components: object) -> EmbeddedSbom:
    document = {"bomFormat": "CycloneDX", "components": components}
    return EmbeddedSbom(path="sboms/a.json", content=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ([{"expression": "MIT OR Apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "apache 2.0"}}], "MIT AND Apache-2.0"),
        ([{"expression": "MIT OR ISC"}, {"license": {"id": "0BSD"}}], "(MIT OR ISC) AND 0BSD"),
        ([{"license": {"name": "Mine"}}, {"license": {"id": "MIT"}}], "Mine; MIT"),
        ([{"license": "MIT"}, 7], "NOASSERTION"),
        (None, "NOASSERTION"),
    ],
)
def test_licences_of_an_embedded_component(licences: object, expected: str) -> None:
    sbom = sbom_of({"name": "x", "licenses": licences, "purl": "no purl", "version": 3})
    (part,) = bundled_parts(facts(sboms=(sbom,)), "w")
    assert str(part.licence) == expected
    assert (part.version, part.purl) == (None, None)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"bomFormat": "CycloneDX", "components": 3}', b"\xff", b"[" * 100_000],
    ids=["empty", "list", "other", "number", "binary", "deep"],
)
def test_what_is_no_cyclonedx_has_no_parts(content: bytes) -> None:
    sbom = EmbeddedSbom(path="sboms/a.json", content=content)
    assert bundled_parts(facts(sboms=(sbom,)), "w") == ()


ANY_JSON = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["name", "licenses", "license", "purl", "id"]), inner)
    ),
)


@given(text=st.lists(st.sampled_from([*STANZAS.splitlines(), "_____", "x\x00"])), more=ANY_JSON)
def test_whatever_a_wheel_tells_gives_printable_parts(text: list[str], more: object) -> None:
    parts = bundled_parts(
        facts(
            texts=(WheelText(path="ThirdPartyNotices", text="\n".join(text)),),
            libraries=("libgfortran-daac5196.so.5",),
            sboms=(sbom_of(more),),
        ),
        "w",
    )
    assert all(part.name and part.name.isprintable() for part in parts)
    assert len({part.ref for part in parts}) == len(parts)
