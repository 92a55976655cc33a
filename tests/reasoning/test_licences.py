"""From what a wheel says of its licence to SPDX's words: what is stated, what a text makes exact."""

from dataclasses import replace
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.licences import stated_licence, text_licence, wheel_licence
from edge.records.part import Licence, WheelFacts, WheelText

BSD_3 = """\
Copyright (c) somebody

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:
 * Redistributions of source code must retain the above copyright notice.
 * Redistributions in binary form must reproduce the above copyright notice.
 * Neither the name of somebody nor the names of its contributors may be used
   to endorse or promote products derived from this software.
"""
BSD_2 = BSD_3.partition(" * Neither")[0]
MIT = """\
// Permission is hereby granted, free of charge, to any person obtaining a copy of
// this software: The above copyright notice and this permission notice shall be
// included in all copies.
"""
FACTS = WheelFacts(
    name="tiny",
    version="1.0",
    licence_expression=None,
    licence=None,
    classifiers=(),
    requires=(),
    homepage=None,
    texts=(),
    libraries=(),
    sboms=(),
    top_folders=frozenset({"tiny"}),
    compiled=False,
)


def own(text: str) -> tuple[WheelText, ...]:
    return (WheelText(path="tiny-1.0.dist-info/LICENSE", text=text),)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            replace(FACTS, licence_expression="mit and (apache-2.0 or bsd-2-clause)", licence="x"),
            Licence(
                expression="MIT AND (Apache-2.0 OR BSD-2-Clause)",
                note="License-Expression in METADATA",
            ),
        ),
        (
            replace(FACTS, licence_expression="my own"),
            Licence(name="my own", note="License-Expression in METADATA: no SPDX expression"),
        ),
        (
            replace(FACTS, licence="3-Clause  BSD License"),
            Licence(expression="BSD-3-Clause", note='License in METADATA: "3-Clause  BSD License"'),
        ),
        (
            replace(FACTS, classifiers=("License :: OSI Approved :: MIT License",)),
            Licence(expression="MIT", note="classifiers in METADATA: MIT License"),
        ),
        (
            replace(FACTS, licence="BSD", texts=own(BSD_3)),
            Licence(
                expression="BSD-3-Clause",
                concluded=True,
                note='METADATA: "BSD", made exact by tiny-1.0.dist-info/LICENSE',
            ),
        ),
        (
            replace(
                FACTS, classifiers=("License :: OSI Approved :: BSD License",), texts=own(BSD_2)
            ),
            Licence(
                expression="BSD-2-Clause",
                concluded=True,
                note='METADATA: "BSD License", made exact by tiny-1.0.dist-info/LICENSE',
            ),
        ),
        (
            replace(FACTS, licence=BSD_3, classifiers=("License :: OSI Approved :: BSD License",)),
            Licence(
                expression="BSD-3-Clause",
                concluded=True,
                note='METADATA: "BSD License", made exact by License in METADATA',
            ),
        ),
        (
            replace(FACTS, texts=own(MIT)),
            Licence(
                expression="MIT", concluded=True, note="by the text of tiny-1.0.dist-info/LICENSE"
            ),
        ),
        (
            replace(FACTS, licence="BSD", texts=own("no licence in here")),
            Licence(name="BSD", note="METADATA names no SPDX licence"),
        ),
        (
            replace(FACTS, texts=own(MIT + BSD_3)),
            Licence(note="neither METADATA nor a licence file of the wheel says which"),
        ),
        (
            replace(FACTS, licence="MIT", texts=own(BSD_3)),
            Licence(
                expression="MIT",
                note='License in METADATA: "MIT"; but tiny-1.0.dist-info/LICENSE has the words '
                "of BSD-3-Clause",
            ),
        ),
    ],
    ids=[
        *("expression", "no-expression", "name", "classifier", "family", "family-classifier"),
        *("text-in-metadata", "text-alone", "ambiguous", "two-texts", "another-text"),
    ],
)
def test_a_wheels_licence(facts: WheelFacts, expected: Licence) -> None:
    assert wheel_licence(facts) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("GPLv3 + runtime exception", None),
        ("Apache", None),
        ("", None),
    ],
)
def test_a_statement(statement: str, expected: str | None) -> None:
    licence = stated_licence(statement, "here")
    assert licence.expression == expected
    assert str(licence) == (expected or statement or "NOASSERTION")


def test_an_unknown_licence_has_a_reason() -> None:
    assert stated_licence(" ", "LICENSE, line 3") == Licence(
        note="LICENSE, line 3: nothing is said"
    )
    with pytest.raises(ValueError, match="an unknown licence needs a reason"):
        Licence()
    with pytest.raises(ValueError, match="a licence is an expression or a name"):
        Licence(expression="MIT", name="MIT")


def test_a_text_with_more_in_it_is_not_taken_for_a_licence() -> None:
    assert text_licence(BSD_3) == "BSD-3-Clause"
    assert text_licence(BSD_2) == "BSD-2-Clause"
    assert text_licence(BSD_2 + "All advertising materials must say so.") is None
    assert text_licence(MIT + "word " * 300) is None
    assert text_licence(MIT + BSD_2) is None
    assert text_licence("") is None


@pytest.mark.parametrize(
    ("distribution", "spdx"),
    [
        ("pip", "MIT"),
        ("securesystemslib", "MIT"),
        ("ml_dtypes", "Apache-2.0"),
        ("Jinja2", "BSD-3-Clause"),
    ],
)
def test_real_licence_texts_are_known(distribution: str, spdx: str) -> None:
    files = metadata.distribution(distribution).files or ()
    texts = [
        file.read_text(encoding="utf-8")
        for file in files
        if ".dist-info/" in str(file) and file.stem.lower() == "license"
    ]
    assert spdx in [text_licence(text) for text in texts]


@given(text=st.text(), name=st.text())
def test_any_text_has_some_licence(text: str, name: str) -> None:
    facts = replace(FACTS, licence=name, classifiers=(f"License :: OSI Approved :: {text}",))
    licence = wheel_licence(replace(facts, texts=own(text)))
    assert str(licence).isprintable()
    assert licence.note
