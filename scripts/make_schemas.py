"""Write the JSON Schemas that ship in edge/schemas/ from the records; run it when one changes."""

import json
from pathlib import Path

from edge.records.card import ModelCard
from edge.records.check import Check
from edge.records.codec import json_schema
from edge.records.comparison import Comparisons
from edge.records.distillation import Distillation
from edge.records.doctor import HostReport
from edge.records.emulation import Emulation, EmulationMatrix
from edge.records.estimate import Estimate
from edge.records.fetched import FetchedModel
from edge.records.imported import Imported
from edge.records.manifest import Manifest
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo
from edge.records.optimization import Optimization
from edge.records.search import BatchCurve, LoadSearch
from edge.records.sweep import SweepResult
from edge.records.target import Target
from edge.records.verdict import Verdict
from edge.records.workload import Workload

FOLDER = Path(__file__).parent.parent / "edge" / "schemas"
RECORDS = {
    "model": ModelInfo,
    "target": Target,
    "workload": Workload,
    "manifest": Manifest,
    "measurement": Measurement,
    "sweep": SweepResult,
    "estimate": Estimate,
    "verdict": Verdict,
    "card": ModelCard,
    "fetched": FetchedModel,
    "check": Check,
    "comparison": Comparisons,
    "batch-curve": BatchCurve,
    "load-search": LoadSearch,
    "doctor": HostReport,
    "imported": Imported,
    "emulation": Emulation,
    "emulation-matrix": EmulationMatrix,
    "distillation": Distillation,
    "optimization": Optimization,
}


def schema_text(name: str) -> str:
    """Return the text of one schema file."""
    return json.dumps(json_schema(RECORDS[name]), indent=1) + "\n"


def main() -> None:
    """Write every schema."""
    FOLDER.mkdir(exist_ok=True)
    for name in RECORDS:
        (FOLDER / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
