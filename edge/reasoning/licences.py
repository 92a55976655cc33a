"""Which licence something stands under, in SPDX's words where they can be had.

Declared statements come first: SPDX expression, METADATA's License, classifiers. A licence's text
only makes an ambiguous statement exact ("BSD License"), or speaks where nothing else does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from edge.errors import printable
from edge.records.part import Licence, WheelFacts, WheelText

# What METADATA and licence files call them; only names that can mean but one.
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "3-clause bsd": "BSD-3-Clause",
        "3-clause bsd license": "BSD-3-Clause",
        "apache 2": "Apache-2.0",
        "apache 2.0": "Apache-2.0",
        "apache license 2.0": "Apache-2.0",
        "apache license, version 2.0": "Apache-2.0",
        "apache software license 2.0": "Apache-2.0",
        "bsd 2-clause": "BSD-2-Clause",
        "bsd 2-clause license": "BSD-2-Clause",
        "bsd 3-clause": "BSD-3-Clause",
        "bsd 3-clause license": "BSD-3-Clause",
        "bsd-2": "BSD-2-Clause",
        "bsd-3": "BSD-3-Clause",
        "mit license": "MIT",
        "modified bsd": "BSD-3-Clause",
        "mpl 2.0": "MPL-2.0",
        "mpl v2.0": "MPL-2.0",
        "new bsd": "BSD-3-Clause",
        "the mit license": "MIT",
    }
)
_CLASSIFIER: Final = "License :: OSI Approved :: "
_CLASSIFIERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
        "ISC License (ISCL)": "ISC",
        "MIT License": "MIT",
        "MIT No Attribution License (MIT-0)": "MIT-0",
        "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
        "The Unlicense (Unlicense)": "Unlicense",
        "zlib/libpng License": "Zlib",
    }
)
# Names that mean several licences, and which of them a text may then show.
_FAMILIES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("apache", ("Apache-2.0",)),
    ("bsd", ("BSD-2-Clause", "BSD-3-Clause")),
    ("python software foundation", ("PSF-2.0",)),
)
_BSD: Final = (
    "redistribution and use in source and binary forms",
    "redistributions of source code must retain",
    "redistributions in binary form must reproduce",
)
# Sentences that stand in a licence and in no other here, and how many words it has.
_TEXTS: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = MappingProxyType(
    {
        "Apache-2.0": (1600, ("apache license version 2.0, january 2004", "grant of patent")),
        "BSD-2-Clause": (200, _BSD),
        "BSD-3-Clause": (240, (*_BSD, "endorse or promote products")),
        "BSL-1.0": (230, ("boost software license - version 1.0", "machine-executable object")),
        "MIT": (
            170,
            (
                "permission is hereby granted, free of charge, to any person obtaining a copy of",
                "the above copyright notice and this permission notice shall be included in all",
            ),
        ),
        "PSF-2.0": (
            350,
            ("python software foundation license version 2", "psf is making python available"),
        ),
        "Unlicense": (220, ("this is free and unencumbered software released into the public",)),
        "Zlib": (
            150,
            (
                "this software is provided 'as-is', without any express or implied warranty",
                "altered source versions must be plainly marked as such",
            ),
        ),
    }
)
# Titles, copyright lines and a sentence around a licence; more than that may be another licence.
_WORDS_AROUND: Final = 80
_HEAD_WORDS: Final = 2000
_LONGEST_NAME: Final = 100


def wheel_licence(facts: WheelFacts) -> Licence:
    """Return the licence that a wheel states; where its licence file has another, the note says so."""
    licence = _stated(facts)
    other = _another(licence, facts)
    return licence if other is None else replace(licence, note=f"{licence.note}; but {other}")


def _stated(facts: WheelFacts) -> Licence:
    if facts.licence_expression is not None:
        return stated_licence(facts.licence_expression, "License-Expression in METADATA")
    statement = (facts.licence or "").strip()
    # Some projects put the whole text there.
    short = statement if len(statement) <= _LONGEST_NAME and "\n" not in statement else ""
    if short and (exact := _exact(short)) is not None:
        return Licence(expression=exact, note=f'License in METADATA: "{printable(short)}"')
    classifiers = [c[len(_CLASSIFIER) :] for c in facts.classifiers if c.startswith(_CLASSIFIER)]
    known = [_CLASSIFIERS[name] for name in classifiers if name in _CLASSIFIERS]
    if known and len(known) == len(classifiers):
        note = f"classifiers in METADATA: {'; '.join(classifiers)}"
        return Licence(expression=" OR ".join(sorted(known)), note=note)
    said = [name for name in (short, *classifiers) if name]
    texts = _own_texts(facts, statement)
    return _by_text(said, texts) or _by_text_alone(texts) or _unclear(said)


def stated_licence(statement: str, where: str) -> Licence:
    """Return the licence that a short statement names: as SPDX has it, else in its own words."""
    plain = " ".join(statement.split())
    exact = _exact(plain)
    if exact is not None:
        return Licence(expression=exact, note=where)
    if not plain:
        return Licence(note=f"{where}: nothing is said")
    return Licence(name=printable(plain), note=f"{where}: no SPDX expression")


def text_licence(text: str) -> str | None:
    """Return the SPDX name of the one licence that `text` is, or None if it is none or more."""
    words = _plain(text)
    found = [name for name in _TEXTS if _has(words, name)]
    if len(found) != 1 or len(words.split()) > _TEXTS[found[0]][0] + _WORDS_AROUND:
        return None
    return found[0]


def _exact(statement: str) -> str | None:
    named = _NAMES.get(" ".join(statement.lower().split()))
    if named is not None:
        return named
    try:
        return str(canonicalize_license_expression(statement))
    except InvalidLicenseExpression:
        return None


def _own_texts(facts: WheelFacts, statement: str) -> list[WheelText]:
    """Return the texts that speak of the wheel as a whole, dist-info's first."""
    own = [t for t in facts.texts if t.path.count("/") <= 2 and "notice" not in t.path.lower()]
    own.sort(key=lambda text: (".dist-info/" not in text.path, text.path))
    whole = [WheelText(path="License in METADATA", text=statement)] if "\n" in statement else []
    return own + whole


def _another(licence: Licence, facts: WheelFacts) -> str | None:
    """Return what a licence file says if no licence in it is among those that were stated."""
    stated = set(re.findall(r"[A-Za-z0-9.-]+", licence.expression or ""))
    for text in _own_texts(facts, "") if stated else ():
        words = _plain(text.text)
        found = [name for name in _TEXTS if _has(words, name)]
        if ".dist-info/" in text.path and found and stated.isdisjoint(found):
            return f"{text.path} has the words of {', '.join(found)}"
    return None


def _by_text(said: Sequence[str], texts: Sequence[WheelText]) -> Licence | None:
    """Make an ambiguous statement exact by the beginning of a text that agrees with it."""
    for statement in said:
        for family, members in _FAMILIES:
            if family not in statement.lower():
                continue
            for text in texts:
                head = " ".join(_plain(text.text).split()[:_HEAD_WORDS])
                found = [name for name in members if _has(head, name)]
                if found:
                    note = f'METADATA: "{printable(statement)}", made exact by {text.path}'
                    return Licence(expression=found[0], concluded=True, note=note)
    return None


def _by_text_alone(texts: Sequence[WheelText]) -> Licence | None:
    for text in texts:
        found = text_licence(text.text)
        if found is not None:
            return Licence(expression=found, concluded=True, note=f"by the text of {text.path}")
    return None


def _unclear(said: Sequence[str]) -> Licence:
    if said:
        return Licence(name=printable(said[0]), note="METADATA names no SPDX licence")
    return Licence(note="neither METADATA nor a licence file of the wheel says which")


def _plain(text: str) -> str:
    """Return a text in lower case with single spaces, without quotes' shapes and comment signs."""
    straight = text.lower().replace("\u2018", "'").replace("\u2019", "'").replace("``", "'")
    return " ".join(re.sub(r"(?m)^[ \t]*(#|//|\*|;;?)+", "", straight).replace("''", "'").split())


def _has(words: str, name: str) -> bool:
    if "bsd" in name.lower() and "advertising materials" in words:
        return False
    if name == "BSD-2-Clause" and "endorse or promote" in words:
        return False
    return all(mark in words for mark in _TEXTS[name][1])
