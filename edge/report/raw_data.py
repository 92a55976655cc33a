"""The raw records inside the page, as links that need neither network nor script."""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.records.codec import to_dict
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo
from edge.records.verdict import Verdict

_LONGEST_PLAIN = 40_000
# Chromium opens no address longer than 2 MiB (url::kMaxURLChars).
_LONGEST_ADDRESS = 1_900_000
# What would end the attribute or the address, or would be read as something else inside them.
_ESCAPED = {ord(c): f"%{ord(c):02X}" for c in "%#\"'<>&` \t\r\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """One record to download; `address` is None where it is too long for a link."""

    name: str
    address: str | None
    size_bytes: int


def raw_files(
    models: Sequence[ModelInfo],
    measurements: Sequence[Measurement],
    verdicts: Sequence[Verdict],
) -> tuple[RawFile, ...]:
    """Return every record as a file; the names are ours, never the model's."""
    found = []
    for kind, records in (
        ("verdict", verdicts),
        ("measurement", measurements),
        ("model", models),
    ):
        found += [
            raw_file(f"{number}.{kind}.json", to_dict(record))
            for number, record in enumerate(records, start=1)
        ]
    return tuple(found)


def raw_file(name: str, document: dict[str, Any]) -> RawFile:
    """Return a document as a `data:` link: plain JSON if short, else compressed the same way."""
    text = json.dumps(document, separators=(",", ":"))
    if len(text) <= _LONGEST_PLAIN:
        address = "data:application/json," + text.translate(_ESCAPED)
        return RawFile(name=name, address=address, size_bytes=len(text))
    # Without a time inside, the same record gives the same bytes.
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    address = "data:application/gzip;base64," + packed
    return RawFile(
        name=f"{name}.gz",
        address=address if len(address) <= _LONGEST_ADDRESS else None,
        size_bytes=len(text),
    )
