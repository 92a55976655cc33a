"""Where this machine's apt gets Debian from, rewritten for another release.

Both formats are read (sources.list(5)); only Debian's own entries are taken, and every entry that
we write is held to Debian's own keys.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT: Final = Path("/etc/apt")
_RELEASES: Final = frozenset(
    ("bullseye", "bookworm", "trixie", "forky", "duke", "sid", "testing", "stable", "oldstable")
)
# The release itself first: updates and security fixes come on top of it.
_POCKETS: Final = ("", "-updates", "-security")
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One address and one suite of it, as apt is told."""

    uri: str
    suite: str


def machine_sources(release: str, apt: Path = _APT) -> tuple[Source, ...]:
    """Return the machine's own addresses of Debian for `release`; none: it has none."""
    entries = list(_entries(apt))
    found: dict[Source, None] = {}
    for pocket in _POCKETS:
        for uri, suites, components, keys in entries:
            if "main" not in components or (keys and "debian-archive" not in keys):
                continue
            for suite in suites:
                if _pocket(suite) == pocket:
                    found[Source(uri=uri, suite=release + pocket)] = None
    return tuple(found)


def sources_text(sources: Sequence[Source]) -> str:
    """Return the lines of a sources.list for these sources."""
    lines = [f"deb [signed-by={KEYRING}] {s.uri} {s.suite} main\n" for s in sources]
    return "".join(lines)


def _pocket(suite: str) -> str | None:
    """Return what stands behind the release in a suite's name; None: it is not Debian's."""
    release, dash, pocket = suite.replace("/updates", "-security").partition("-")
    ours = release in _RELEASES and dash + pocket in _POCKETS
    return dash + pocket if ours else None


def _entries(apt: Path) -> Iterator[tuple[str, list[str], list[str], str]]:
    """Yield address, suites, components and keys of every entry that is switched on."""
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            # apt itself goes on without what it cannot read.
            continue
        if path.suffix == ".list":
            yield from _one_line_entries(text)
        elif path.suffix == ".sources":
            yield from _deb822_entries(text)


def _one_line_entries(text: str) -> Iterator[tuple[str, list[str], list[str], str]]:
    for line in text.splitlines():
        told = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if told is not None:
            suite, *components = told["rest"].split()
            options = dict(option.partition("=")[::2] for option in (told["options"] or "").split())
            yield told["uri"], [suite], components, options.get("signed-by", "")


def _deb822_entries(text: str) -> Iterator[tuple[str, list[str], list[str], str]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        types = fields.get("types", "").split()
        if "deb" in types and fields.get("enabled", "yes").lower() not in ("no", "false", "0"):
            for uri in fields.get("uris", "").split():
                suites, components = fields.get("suites", ""), fields.get("components", "")
                yield uri, suites.split(), components.split(), fields.get("signed-by", "")


def stanzas(text: str) -> list[Mapping[str, str]]:
    """Return the fields of each stanza of a deb822 text, by their names in lower case."""
    return [fields for fields in map(_fields, re.split(r"\n\s*\n", text)) if fields]


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[name] = fields.get(name, "") + "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.strip()
    return fields
