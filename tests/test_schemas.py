"""The schemas that ship are those of the records, and they are schemas."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

ROOT = Path(__file__).parent.parent


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = script("make_schemas")


@pytest.mark.parametrize("name", MAKE.RECORDS)
def test_schema_is_up_to_date(name: str) -> None:
    text = (MAKE.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert text == MAKE.schema_text(name), "run python scripts/make_schemas.py"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
