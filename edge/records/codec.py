"""Records to plain dictionaries and back, without loss, and their JSON Schema.

One codec serves every record; an error names the exact key path. Part of the device slice:
Python 3.8, standard library only.
"""

import dataclasses
import typing
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from edge.errors import ConfigError, printable

R = TypeVar("R")
_UNIONS = (Union, getattr(__import__("types"), "UnionType", Union))
_NAMES = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def to_dict(record: Any) -> Dict[str, Any]:
    """Return the record as dictionaries, lists and scalars; unknown (None) values are kept."""
    version = getattr(type(record), "SCHEMA_VERSION", None)
    head = {} if version is None else {"schema_version": version}
    fields = {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {**head, **fields}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


def from_dict(cls: Type[R], data: object, where: object = None) -> R:
    """Build a record of `cls` from plain data; `data` is not changed.

    Raises:
        ConfigError: a key is unknown or missing, a value has the wrong type, the record
            rejects it, or the file has a newer major version; `where` names the file.
    """
    record: R = _Reader(where).record(cls, data, "")
    return record


class _Reader:
    """Reads one document and remembers where it came from, for its errors."""

    def __init__(self, where: object) -> None:
        self.where = where

    def fail(self, path: str, what: str, hint: Optional[str] = None) -> ConfigError:
        text = f"{path}: {what}" if path else what
        return ConfigError(text, where=self.where, hint=hint)

    def record(self, cls: Any, data: object, path: str) -> Any:
        if not isinstance(data, Mapping):
            example = getattr(cls, "EXAMPLE", None)
            hint = None if example is None else f"write it as {example}"
            raise self.fail(path, f"expected a table, got {_describe(data)}", hint)
        content = self._without_version(cls, data, path)
        hints = typing.get_type_hints(cls)
        fields = {f.name: f for f in dataclasses.fields(cls)}
        self._refuse_unknown(content, fields, path)
        values = {}
        for name, field in fields.items():
            if name in content:
                values[name] = self.value(hints[name], content[name], _join(path, name))
            elif _required(field) and not _accepts_none(hints[name]):
                raise self.fail(_join(path, name), "missing key")
            elif _required(field):
                values[name] = None
        try:
            return cls(**values)
        except ValueError as error:
            raise self.fail(path, str(error)) from error

    def _without_version(self, cls: Any, data: Mapping[str, Any], path: str) -> Dict[str, Any]:
        content = dict(data)
        ours = getattr(cls, "SCHEMA_VERSION", None)
        if ours is None:
            return content
        key = _join(path, "schema_version")
        theirs = content.pop("schema_version", None)
        if theirs is None:
            raise self.fail(key, "missing key", f'add schema_version = "{ours}"')
        try:
            major = int(str(theirs).split(".")[0])
        except ValueError:
            raise self.fail(key, f"not a version: {printable(theirs)}") from None
        if major > int(ours.split(".")[0]):
            raise self.fail(
                key,
                f"version {printable(theirs)} is newer than this edgekit reads ({ours})",
                "update edgekit on this machine",
            )
        return content

    def _refuse_unknown(self, data: Iterable[str], known: Iterable[str], path: str) -> None:
        names = list(known)
        for key in data:
            if key not in names:
                import difflib  # Only a mistake needs it.

                close = difflib.get_close_matches(str(key), names, 1)
                guess = f"did you mean {close[0]}?" if close else "allowed: " + ", ".join(names)
                raise self.fail(_join(path, printable(key)), "unknown key", guess)

    def value(self, hint: Any, data: object, path: str) -> Any:
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin in _UNIONS:
            return self._union(args, data, path)
        if origin is typing.Literal:
            if data not in args:
                allowed = ", ".join(str(a) for a in args)
                raise self.fail(path, f"must be one of {allowed}, got {_describe(data)}")
            return data
        if origin is tuple:
            return self._tuple(args, data, path)
        if origin is not None and issubclass(origin, Mapping):
            if not isinstance(data, Mapping):
                raise self.fail(path, f"expected a table, got {_describe(data)}")
            return {str(k): self.value(args[1], v, _join(path, str(k))) for k, v in data.items()}
        if dataclasses.is_dataclass(hint):
            return self.record(hint, data, path)
        return self._scalar(hint, data, path)

    def _union(self, args: Tuple[Any, ...], data: object, path: str) -> Any:
        choices = [a for a in args if a is not type(None)]
        if data is None and len(choices) < len(args):
            return None
        if len(choices) == 1:
            return self.value(choices[0], data, path)
        for choice in choices:
            if type(data) is choice:
                return data
        raise self.fail(path, f"got {_describe(data)}")

    def _tuple(self, args: Tuple[Any, ...], data: object, path: str) -> Tuple[Any, ...]:
        if not isinstance(data, (list, tuple)):
            raise self.fail(path, f"expected a list, got {_describe(data)}")
        if len(args) == 2 and args[1] is Ellipsis:
            kinds: List[Any] = [args[0]] * len(data)
        elif len(args) != len(data):
            raise self.fail(path, f"expected {len(args)} entries, got {len(data)}")
        else:
            kinds = list(args)
        return tuple(self.value(k, d, f"{path}[{i}]") for i, (k, d) in enumerate(zip(kinds, data)))

    def _scalar(self, hint: Any, data: object, path: str) -> Any:
        if hint is Any:
            return data
        if hint is float and type(data) is int:
            return float(data)
        if type(data) is not hint:
            raise self.fail(path, f"expected {_NAMES.get(hint, hint)}, got {_describe(data)}")
        return data


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    return printable(repr(value), 60)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _required(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _accepts_none(hint: Any) -> bool:
    return typing.get_origin(hint) in _UNIONS and type(None) in typing.get_args(hint)


def json_schema(cls: Any) -> Dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what `to_dict` writes for a record of `cls`."""
    schema = _record_schema(cls)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cls.__name__,
        "description": (cls.__doc__ or "").strip().splitlines()[0],
        **schema,
    }


def _record_schema(cls: Any) -> Dict[str, Any]:
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    properties = {name: _value_schema(hints[name]) for name in names}
    version = getattr(cls, "SCHEMA_VERSION", None)
    if version is not None:
        pattern = r"^{}\.\d+$".format(version.split(".")[0])
        properties = {"schema_version": {"type": "string", "pattern": pattern}, **properties}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _value_schema(hint: Any) -> Dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        return {"anyOf": [_value_schema(a) for a in args]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return {"type": "array", "items": _value_schema(args[0])}
    if origin is tuple:
        items = [_value_schema(a) for a in args]
        return {"type": "array", "prefixItems": items, "minItems": len(args), "items": False}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _value_schema(args[1])}
    if dataclasses.is_dataclass(hint):
        return _record_schema(hint)
    names = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
    return {} if hint is Any else {"type": names[hint]}
