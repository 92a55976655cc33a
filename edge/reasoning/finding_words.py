"""What programs say when they fail, taken apart: a kind, the library, and what is missing.

The texts are those of edge/device, of onnxruntime 1.19 to 1.32, of ai-edge-litert and
tflite-runtime 2.13 to 2.14, of glibc's loader, of CPython and of qemu 7.2. All of them come from
programs that are not trusted, so what is taken out of them is escaped and cut.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.errors import printable
from edge.records.emulation import FindingKind

_LONGEST_NAME: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a text says; `what` says it in our own words."""

    kind: FindingKind
    what: str
    library: str | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A text to look for, and what it means."""

    pattern: re.Pattern[str]
    decode: Callable[[re.Match[str]], Decoded]


def decoded(text: str) -> Decoded | None:
    """Return what the text of a failure says, by the most telling of its words; None: unknown."""
    for words in _WORDS:
        match = words.pattern.search(text)
        if match is not None:
            return words.decode(match)
    return None


def missing_versions(text: str) -> Iterator[Decoded]:
    """Yield the symbol versions that the loader did not find, each once."""
    for match in dict.fromkeys(found.groups() for found in _VERSION.finditer(text)):
        where, version, needed_by = match
        yield _missing_version(where, version, needed_by)


def file_name(path: str | None) -> str | None:
    """Return the last part of a path, escaped and cut; None where there is none."""
    name = (path or "").strip().rpartition("/")[2]
    return printable(name, _LONGEST_NAME) or None


# "/lib/libc.so.6: version `GLIBC_2.38' not found (required by /…/numpy.so)", glibc's dl-version.c;
# what the runtimes' backends quote of it is cut, and may lack the end.
_VERSION: Final = re.compile(
    r"(\S{1,300}): version [`']([A-Za-z0-9_.+-]{1,80})' not found(?: \(required by ([^)\n]{1,400}))?"
)
_SOURCE: Final = re.compile(r"\bversion [`']([A-Za-z0-9_.+-]{1,80})' not found")


def _missing_version(where: str, version: str, needed_by: str | None) -> Decoded:
    library, owner = file_name(needed_by), file_name(where) or "the system's library"
    return Decoded(
        kind="missing-symbol-version",
        what=f"{library or 'the runtime'} needs {version}, which {owner} there has not",
        library=library,
        missing=version,
    )


def _illegal(match: re.Match[str]) -> Decoded:
    library, feature = printable(match[1], _LONGEST_NAME), printable(match[2], _LONGEST_NAME)
    what = f"{library} uses an instruction of {feature}, which the processor lacks"
    return Decoded(kind="illegal-instruction", what=what, library=library, missing=feature)


def _unknown_illegal(match: re.Match[str]) -> Decoded:
    library = printable(match[1], _LONGEST_NAME)
    what = f"{library} uses an instruction ({printable(match[2], 40)}) that the processor lacks"
    return Decoded(kind="illegal-instruction", what=what, library=library)


def _trap(match: re.Match[str]) -> Decoded:
    library = printable(match[1], _LONGEST_NAME)
    return Decoded(kind="crash", what=f"{library} gave up in a trap of its own", library=library)


def _operator(match: re.Match[str]) -> Decoded:
    name = printable(_operator_name(match.groupdict()), _LONGEST_NAME)
    what = f"the runtime has no kernel for the operator {name}"
    return Decoded(kind="missing-operator", what=what, missing=name)


def _operator_name(found: dict[str, str | None]) -> str:
    domain, name = found.get("domain") or "", (found.get("name") or "").strip()
    # Both spellings of ONNX's own domain are left out, as its operators' names are known.
    return f"{domain}.{name}" if domain not in ("", "ai.onnx") else name


def _module(match: re.Match[str]) -> Decoded:
    name = printable(match[1], _LONGEST_NAME)
    what = f"the Python module {name} is missing"
    return Decoded(kind="import-failure", what=what, missing=name)


def _shared_object(match: re.Match[str]) -> Decoded:
    name = file_name(match[1]) or "a library"
    what = f"the library {name} is missing: {printable(match[2])}"
    return Decoded(kind="import-failure", what=what, missing=name)


def _symbol(match: re.Match[str]) -> Decoded:
    library, symbol = file_name(match[1]), printable(match[2], _LONGEST_NAME)
    what = f"{library} needs the symbol {symbol}, which no library there has"
    return Decoded(kind="import-failure", what=what, library=library, missing=symbol)


def _numpy(match: re.Match[str]) -> Decoded:
    what = f"the runtime is compiled for another numpy: {printable(match[0])}"
    return Decoded(kind="import-failure", what=what, missing="numpy")


def _name(match: re.Match[str]) -> Decoded:
    name, owner = printable(match[1], _LONGEST_NAME), printable(match[2], _LONGEST_NAME)
    what = f"{owner} has no {name}: its version is not the one that was expected"
    return Decoded(kind="import-failure", what=what, missing=name)


def _not_installed(match: re.Match[str]) -> Decoded:
    return Decoded(kind="import-failure", what=printable(match[0]))


def _quoted(kind: FindingKind) -> Callable[[re.Match[str]], Decoded]:
    return lambda match: Decoded(kind=kind, what=printable(match[0]))


def table(rows: Iterable[tuple[str, Callable[[re.Match[str]], Decoded]]]) -> tuple[Words, ...]:
    """Compile patterns with what each means."""
    return tuple(Words(re.compile(pattern), decode) for pattern, decode in rows)


_UNREGISTERED: Final = (
    r"(?:Fatal error: |: )?(?:(?P<domain>[A-Za-z0-9_.]{1,100}):)?(?P<name>[A-Za-z0-9_]{1,100})"
    r"\(-?\d{1,9}\) is not a registered function/op"
)
_FLEX: Final = (
    r"Select TensorFlow op\(s\), included in the given model"
    r"(?:[^\n]{0,400}?\((?P<name>Flex[A-Za-z0-9]{1,80})\))?"
)
_OTHER_NUMPY: Final = (
    r"(?:_ARRAY_API not found|numpy\.core\.multiarray failed to import|module compiled "
    r"against A[BP]I version [^\n]{0,80}|numpy\.dtype size changed[^\n]{0,80}|A module that "
    r"was compiled using NumPy 1\.x[^\n]{0,80}|compiled against NumPy C-API[^\n]{0,80})"
)
_NOT_LOADED: Final = (
    r"([^\s:]{1,300}): (cannot open shared object file|invalid ELF header|wrong ELF class|"
    r"file too short|cannot enable executable stack)"
)
_NO_MEMORY: Final = (
    r"(?:the child ran out of the memory that it was allowed|the kernel killed it: out of "
    r"memory[^\n]{0,80}|it needs more than the \d{1,12} MiB of memory that it was allowed|it "
    r"asks for more memory than it is allowed here|std::bad_alloc|\bMemoryError\b|Cannot "
    r"allocate memory|Failed to allocate memory[^\n]{0,80}|[Oo]ut of memory)"
)
_SOME_INSTRUCTION: Final = (
    r"SIGALRM: an instruction that this CPU lacks[^\n]{0,80}|SIGILL(?:: an instruction that "
    r"this CPU lacks[^\n]{0,80})?|uncaught target signal 4 [^\n]{0,40}|Illegal instruction"
)
# Every repetition is bounded: a hostile text costs no more than its length.
_WORDS: Final = table(
    (
        (r"SIGILL: (\S[^\n]{0,200}?) uses an instruction of ([a-z0-9_]{1,40})", _illegal),
        (r"SIGILL: (\S[^\n]{0,200}?) uses an instruction \(([0-9a-f]{0,40})\)", _unknown_illegal),
        (r"SIGILL: (\S[^\n]{0,200}?) ran into a trap", _trap),
        (_VERSION.pattern, lambda found: _missing_version(found[1], found[2], found[3])),
        (_SOURCE.pattern, lambda found: _missing_version("", found[1], None)),
        (
            r"Encountered unresolved custom op: (?P<name>[^\n]{1,100}?)\.?\s*(?:\n|See |\\n|$)",
            _operator,
        ),
        (
            _UNREGISTERED,
            _operator,
        ),
        (r"Could not find an implementation for (?P<name>[A-Za-z0-9_.:]{1,100})", _operator),
        (r"No Op registered for (?P<name>[A-Za-z0-9_.:]{1,100})", _operator),
        (r"Didn't find op for builtin opcode '(?P<name>[A-Z0-9_]{1,100})'", _operator),
        (
            _FLEX,
            lambda found: Decoded(
                kind="missing-operator",
                what="the model has operators of TensorFlow itself, and the runtime has none",
                missing=found["name"] or "Flex",
            ),
        ),
        (
            _OTHER_NUMPY,
            _numpy,
        ),
        (r"No module named '?([A-Za-z0-9_.]{1,120})'?", _module),
        (r"cannot import name '([^'\n]{1,80})' from '([^'\n]{1,80})'", _name),
        (
            _NOT_LOADED,
            _shared_object,
        ),
        (r"([^\s:]{1,300}): undefined symbol: ([A-Za-z0-9_.$@]{1,200})", _symbol),
        (r"no runtime for \w{1,10} models is installed", _not_installed),
        (r"\S{1,100} cannot be imported: [^\n]{1,300}", _not_installed),
        (
            _NO_MEMORY,
            _quoted("out-of-memory"),
        ),
        (r"SIGXCPU[^\n]{0,80}|no answer within [\d.]{1,12} s", _quoted("hang")),
        (
            _SOME_INSTRUCTION,
            lambda _: Decoded(
                kind="illegal-instruction",
                what="it died of an instruction that the processor lacks; which is not known",
            ),
        ),
        (r"SIGKILL: killed from outside: not by the kernel[^\n]{0,120}", _quoted("crash")),
        (r"SIGKILL(?:: [^\n]{0,120})?", _quoted("out-of-memory")),
        (r"\d{1,9} of \d{1,9} samples disagree here[^\n]{0,300}", _quoted("wrong-output")),
        (r"the child died of [^\n]{1,200}", _quoted("crash")),
        (r"uncaught target signal \d{1,3} \([^)\n]{1,60}\)", _quoted("crash")),
        (r"the child ended with status -?\d{1,9} and no answer", _quoted("crash")),
        (r"Fatal Python error: [^\n]{1,200}", _quoted("crash")),
    )
)
