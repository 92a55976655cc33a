"""Records to data and back, exact errors, and schemas that accept what is written."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.records.codec import from_dict, json_schema, to_dict


@dataclass(frozen=True)
class Inner:
    """An inner record."""

    size_bytes: int
    ratio: float = 1.0

    def __post_init__(self) -> None:
        if self.size_bytes < 0:
            raise ValueError("size_bytes is negative")


@dataclass(frozen=True)
class Outer:
    """An outer record."""

    SCHEMA_VERSION: ClassVar[str] = "1.2"

    name: str
    kind: Literal["a", "b"]
    inner: tuple[Inner, ...]
    pair: tuple[str, int]
    either: int | str
    maybe: float | None
    table: dict[str, int]
    on: bool = False


inners = st.builds(Inner, size_bytes=st.integers(min_value=0), ratio=st.floats(allow_nan=False))
outers = st.builds(
    Outer,
    name=st.text(),
    kind=st.sampled_from(["a", "b"]),
    inner=st.lists(inners).map(tuple),
    pair=st.tuples(st.text(), st.integers()),
    either=st.one_of(st.integers(), st.text()),
    maybe=st.one_of(st.none(), st.floats(allow_nan=False)),
    table=st.dictionaries(st.text(), st.integers()),
    on=st.booleans(),
)


@given(outers)
def test_nothing_is_lost(record: Outer) -> None:
    data = to_dict(record)
    assert from_dict(Outer, data) == record


@given(outers)
def test_the_schema_accepts_what_is_written(record: Outer) -> None:
    jsonschema.validate(to_dict(record), json_schema(Outer))


GOOD = {
    "schema_version": "1.0",
    "name": "n",
    "kind": "a",
    "inner": [{"size_bytes": 1}],
    "pair": ["x", 1],
    "either": 3,
    "maybe": None,
    "table": {},
}


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"nam": "n"}, "f.toml: nam: unknown key", "did you mean name?"),
        ({"zzz": 1}, "f.toml: zzz: unknown key", None),
        ({"kind": "c"}, "f.toml: kind: must be one of a, b, got 'c'", None),
        ({"name": 1}, "f.toml: name: expected a string, got 1", None),
        ({"on": 1}, "f.toml: on: expected true or false, got 1", None),
        ({"inner": {}}, "f.toml: inner: expected a list, got a table", None),
        ({"inner": [1]}, "f.toml: inner[0]: expected a table, got 1", None),
        (
            {"inner": [{"size_bytes": 1}, {"size_bytes": True}]},
            "f.toml: inner[1].size_bytes: expected an integer, got True",
            None,
        ),
        ({"inner": [{"size_bytes": -1}]}, "f.toml: inner[0]: size_bytes is negative", None),
        ({"inner": [{}]}, "f.toml: inner[0].size_bytes: missing key", None),
        ({"pair": ["x"]}, "f.toml: pair: expected 2 entries, got 1", None),
        ({"either": None}, "f.toml: either: got None", None),
        ({"table": {"x": "y"}}, "f.toml: table.x: expected an integer, got 'y'", None),
        (
            {"schema_version": "2.0"},
            "f.toml: schema_version: version 2.0 is newer than this edgekit reads (1.2)",
            "update edgekit on this machine",
        ),
        ({"schema_version": "x"}, "f.toml: schema_version: not a version: x", None),
        (
            {"schema_version": None},
            "f.toml: schema_version: missing key",
            'add schema_version = "1.2"',
        ),
    ],
)
def test_an_error_names_the_key(change: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, {**GOOD, **change}, "f.toml")
    assert str(caught.value) == message
    if hint is not None:
        assert caught.value.hint == hint


def test_reading_does_not_change_its_argument() -> None:
    data = dict(GOOD)
    from_dict(Outer, data)
    assert data == GOOD


def test_a_whole_number_is_a_number() -> None:
    assert from_dict(Inner, {"size_bytes": 1, "ratio": 2}).ratio == 2.0
