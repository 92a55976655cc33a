"""Hold `edgekit optimize` against Microsoft Olive: docs/reference/optimize-figures.md.

    .venv/bin/python scripts/compare_with_olive.py FOLDER --mobilenet mobilenet-v2.onnx --write

FOLDER keeps what is made and fetched. mobilenet-v2.onnx is what `make_mobilenet_v2.py --fp32`
writes. Without `--olive-python`, Olive is installed into FOLDER/olive (requirements/olive.in), as
pip does by default: 5.6 GB. Every model goes through Olive's command line, Olive's best
configurations (olive_configurations.py) and `edgekit optimize`, one after the other, with the same
data; then all files and the original are timed in turns, each time in a process of its own. The
exit status is 1 where a claim is missed. Other programs that run meanwhile make the figures useless.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from olive_data import prepare
from olive_runs import (
    Case,
    Place,
    installed_bytes,
    measure,
    run_edgekit,
    run_olive,
    runtime_version,
)
from olive_table import HEADINGS, Floors, claims_of, rows_of, size_claim, table, verdicts

from edge.device.facts import read_host_facts
from edge.workflows.models import resolve_model

if TYPE_CHECKING:
    from olive_table import Claim

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "optimize-figures.md"
REQUIREMENTS = ROOT / "requirements" / "olive.in"
BEGIN, END = "<!-- begin table: written by scripts/compare_with_olive.py -->", "<!-- end table -->"
# 17 of 20 pictures right are wanted of an int8 EfficientNet-Lite0, where fp32 has 19.
FLOORS = {
    "efficientnet-lite0": Floors(least_cosine=0.95, most_drop=0.10, speedup=2.0, right=17),
    "mobilenet-v2": Floors(least_cosine=0.95, most_drop=0.10, speedup=2.0),
    "minilm-l6-v2": Floors(least_cosine=0.95, most_drop=0.01, speedup=2.7),
    "ppocr-v4-rec": Floors(least_cosine=0.95, most_drop=0.01),
    "digits-cnn": Floors(least_cosine=0.95, most_drop=0.01),
}
OPTIONS = {"efficientnet-lite0": ("--max-accuracy-drop", "10%")}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    told = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=told)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mobilenet", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--olive-python", type=Path, metavar="PYTHON", help="of Olive's environment"
    )
    parser.add_argument(
        "--olive-default-python", type=Path, metavar="PYTHON", help="of one that is only weighed"
    )
    parser.add_argument(
        "--edgekit-python", type=Path, metavar="PYTHON", help="of an environment to weigh"
    )
    parser.add_argument("--model", action="append", choices=sorted(FLOORS), help="only this one")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one timing")
    parser.add_argument("--write", action="store_true", help=f"the table into {PAGE.name}")
    return parser.parse_args()


def made_environment(folder: Path) -> Path:
    """Install Olive as pip does, and return its Python."""
    python = folder / "olive" / "bin" / "python"
    if not python.exists():
        subprocess.run((sys.executable, "-m", "venv", str(folder / "olive")), check=True)
        command = (str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
        subprocess.run(command, check=True)
    return python


def model_files(options: argparse.Namespace) -> dict[str, Path]:
    """Return the models: three of the registries', one that ships, and the one given."""
    found = {"mobilenet-v2": options.mobilenet.resolve()}
    named = {name: name for name in FLOORS if name != "mobilenet-v2"}
    named["digits-cnn"] = "digits-cnn:digits-cnn-fp32.onnx"
    for name, told in named.items():
        found[name] = resolve_model(told).path.resolve()
    return {name: found[name] for name in FLOORS}


def write_page(text: str) -> None:
    """Put the table where the page wants it."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def main() -> int:
    """Compare; 1 where a claim is missed."""
    options = arguments()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Not resolved: the link in an environment is what makes it one.
    olive = (options.olive_python or made_environment(folder)).absolute()
    here = Path(sys.executable)
    files = model_files(options)
    tokenizer = files["minilm-l6-v2"].parent / "tokenizer.json"
    prepare(folder / "data", tokenizer, olive)
    places = [
        Place(name=f"{count} thread{'s'[: count - 1]}", python=here, threads=count)
        for count in (1, 2)
    ]
    versions = runtime_version(here), runtime_version(olive)
    if versions[0] != versions[1]:
        places.append(Place(name=f"ONNX Runtime {versions[1]}", python=olive, threads=1))
    names = [place.name for place in places]
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".runs-") as scratch:
        for name in options.model or FLOORS:
            case = Case(
                name=name,
                model=files[name],
                calibration=folder / "data" / name / "calibration.npz",
                evaluation=folder / "data" / name / "evaluation.npz",
                options=OPTIONS.get(name, ()),
            )
            place = Path(scratch) / name
            made = [*run_olive(case, olive, place / "olive")]
            (place / "edgekit").mkdir()
            made.append(run_edgekit(case, place / "edgekit"))
            entries = measure(case, made, places, options.rounds, options.seconds)
            found = rows_of(entries, names)
            judged = claims_of(entries, FLOORS[name], names)
            rows += found
            claims += judged
            print(
                table(HEADINGS[: 4 + len(names)] + HEADINGS[-3:], found),
                verdicts(judged),
                sep="\n",
                flush=True,
            )
            shutil.rmtree(place)
    weighed = installed_bytes(options.edgekit_python or here)
    claims.append(size_claim(weighed, installed_bytes(options.olive_default_python or olive)))
    facts = read_host_facts()
    text = (
        f"Measured on {facts.cpu_model}, {facts.cores_allowed} cores, CPython"
        f" {platform.python_version()}; {options.rounds} rounds, ONNX Runtime {versions[0]}; Olive"
        f" {installed_bytes(olive) / 1e6:,.0f} MB as it ran.\n\n"
        f"{table(HEADINGS[: 4 + len(names)] + HEADINGS[-3:], rows)}\n{verdicts(claims)}"
    )
    print(verdicts(claims[-1:]))
    if options.write:
        write_page(text)
    return int(any(claim.kept is False for claim in claims))


if __name__ == "__main__":
    sys.exit(main())
