"""edgekit models: what it prints, how it ends, and that a refusal leaves nothing behind."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from made_packages import ROOT, copied_project, edgekit, made_wheel, serve, serve_silence, sha256

from edge.adapters.cards import load_cards
from edge.adapters.data import data_folder

DATA = b"a model that nobody runs"
CARD = """
schema_version = "1.0"
name = "made"
title = "Made"
kind = "audio"
licence = "MIT"
description = "Made by a test."

[source]
registry = "pypi"
package = "made"
version = "1.0"
filename = "made-1.0-py3-none-any.whl"
package_sha256 = "{package}"

[[file]]
name = "made.onnx"
format = "onnx"
precision = "fp32"
member = "made/a.onnx"
sha256 = "{file}"
size_bytes = {size}
[[file.input]]
name = "input"
dtype = "float32"
shape = [1, 4]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one card more, whose wheel only this machine serves."""
    wheel = made_wheel(tmp_path / "served", "made", {"made/a.onnx": DATA})
    serve(wheel.parent, monkeypatch)
    project = copied_project(tmp_path)
    write_card(project, package=sha256(wheel.read_bytes()), file=sha256(DATA))
    return project


def write_card(project: Path, **digests: str) -> None:
    text = CARD.format(**digests, size=len(DATA))
    (project / "models" / "made.toml").write_text(text, encoding="utf-8")


def places(own_cache: Path) -> list[str]:
    models = own_cache / "models"
    return sorted(p.name for p in models.iterdir()) if models.exists() else []


def test_list() -> None:
    status, output, complaint = edgekit(ROOT, "models", "list")
    lines = output.splitlines()
    assert (status, complaint) == (0, "")
    assert lines[0].split() == [
        *("name", "kind", "file", "format", "precision", "size", "licence", "source", "cached"),
    ]
    first = ["digits-cnn", "image-classification", "digits-cnn-fp32.onnx", "onnx", "fp32"]
    assert lines[1].split()[:5] == first
    assert lines[1].split()[-2:] == ["project", "yes"]
    for card in load_cards():
        for file in card.file:
            assert f" {file.name} " in output
    silero = next(line for line in lines if line.startswith("silero-vad "))
    assert " ".join(silero.split()) == (
        "silero-vad audio silero-vad.onnx onnx fp32 1.23 MiB MIT pypi silero-vad no"
    )


def test_list_in_a_narrow_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from edge.cli.models import _table

    console = Console(width=60, record=True, quiet=True)
    console.print(_table([(card, False) for card in load_cards()]))
    assert "…" not in console.export_text()


def test_list_as_json() -> None:
    status, output, complaint = edgekit(ROOT, "models", "list", "--json")
    assert (status, complaint) == (0, "")
    models = json.loads(output)["models"]
    assert [model["name"] for model in models] == [card.name for card in load_cards()]
    assert models[0]["schema_version"] == "1.0"
    assert [model["cached"] for model in models] == [True] + [False] * (len(models) - 1)


def test_fetch_of_the_project() -> None:
    status, output, complaint = edgekit(ROOT, "models", "fetch", "digits-cnn")
    folder = data_folder("models") / "digits-cnn"
    files = ["fp32.onnx", "int8.onnx", "fp32.tflite", "int8.tflite"]
    assert (status, complaint) == (0, "")
    assert sorted(output.splitlines()) == sorted(f"{folder}/digits-cnn-{file}" for file in files)


def test_fetch(project: Path, own_cache: Path) -> None:
    path = own_cache / "models" / "made" / "made.onnx"
    for _ in range(2):
        assert edgekit(project, "models", "fetch", "made") == (0, f"{path}\n", "")
    assert path.read_bytes() == DATA


def test_fetch_as_json(project: Path, own_cache: Path) -> None:
    status, output, complaint = edgekit(
        project, "models", "fetch", "made", "--file", "made.onnx", "--json"
    )
    path = own_cache / "models" / "made" / "made.onnx"
    assert (status, complaint) == (0, "")
    assert json.loads(output) == {
        "name": "made",
        "files": [
            {
                "name": "made.onnx",
                "sha256": sha256(DATA),
                "size_bytes": len(DATA),
                "path": str(path),
            }
        ],
        "evidence": [],
    }


def test_wrong_digest_of_the_package(project: Path, own_cache: Path) -> None:
    write_card(project, package=sha256(b"another"), file=sha256(DATA))
    assert edgekit(project, "models", "fetch", "made") == (
        4,
        "",
        (
            "error: made 1.0: its digest is not the pinned one\n"
            "hint: the registry serves another file than the one that was pinned; do not use it\n"
        ),
    )
    assert places(own_cache) == [".made.lock"]


def test_wrong_digest_of_a_file(project: Path, own_cache: Path, tmp_path: Path) -> None:
    package = sha256((tmp_path / "served" / "made-1.0-py3-none-any.whl").read_bytes())
    write_card(project, package=package, file=sha256(b"another"))
    assert edgekit(project, "models", "fetch", "made") == (
        4,
        "",
        (
            f"error: made-1.0-py3-none-any.whl: made/a.onnx: its SHA-256 is {sha256(DATA)},"
            f" and the card says {sha256(b'another')}\n"
            "hint: the package holds another file than the one that was pinned; do not use it\n"
        ),
    )
    assert places(own_cache) == [".made.lock"]


ENDINGS = {
    "unknown name": (
        ["silero-vat"],
        4,
        "error: there is no model named 'silero-vat'\nhint: did you mean silero-vad?\n",
    ),
    "unknown file": (
        ["silero-vad", "--file", "x"],
        4,
        "error: silero-vad: it has no file 'x'\nhint: its files: silero-vad.onnx\n",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "complaint"), ENDINGS.values(), ids=ENDINGS)
def test_ending(arguments: list[str], code: int, complaint: str, own_cache: Path) -> None:
    assert edgekit(ROOT, "models", "fetch", *arguments) == (code, "", complaint)
    assert places(own_cache) == []


def test_card_with_a_typo(project: Path) -> None:
    card = project / "models" / "made.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("licence", "license"))
    status, output, complaint = edgekit(project, "models", "list")
    assert (status, output) == (3, "")
    assert complaint == (f"error: {card}: license: unknown key\nhint: did you mean licence?\n")


def test_no_package_client_answer(project: Path, own_cache: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as context:
        serve_silence(context, 9)
        assert edgekit(project, "models", "fetch", "made") == (
            9,
            "",
            (
                "error: made 1.0: the package registry does not answer\n"
                "hint: check the network and the package index that pip is configured for\n"
            ),
        )
    assert places(own_cache) == [".made.lock"]


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_interrupted_fetch(
    number: int, code: int, word: str, project: Path, own_cache: Path
) -> None:
    with pytest.MonkeyPatch.context() as context, socket.create_server(("127.0.0.1", 0)) as server:
        serve_silence(context, server.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "models", "fetch", "made"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # pip has asked, so the download is under way.
        connection, _ = server.accept()
        process.send_signal(number)
        output, complaint = process.communicate(timeout=60)
        connection.close()
    # After ^C, click ends the line that the terminal is on.
    assert (process.returncode, output, complaint.lstrip()) == (code, "", word)
    assert places(own_cache) == [".made.lock"]
