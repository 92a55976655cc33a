"""Packages that tests make for themselves, and cards of them."""

import base64
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.records.card import CardFile, ModelCard
from edge.records.pins import ModelSource, PackageFile
from edge.records.tensor import TensorSpec

ROOT = Path(__file__).parent.parent


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def made_wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Path:
    """Write a wheel NAME-1.0-py3-none-any.whl that pip accepts."""
    info = f"{name}-1.0.dist-info"
    content = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    path.write_bytes(zipped(content))
    return path


def made_tgz(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write an archive as npm packs it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def packaged(name: str, member: str, data: bytes, **more: Any) -> PackageFile:
    size = more.pop("size_bytes", len(data))
    return PackageFile(name=name, member=member, sha256=sha256(data), size_bytes=size, **more)


def card_of(wheel: Path, member: str, data: bytes, **more: Any) -> ModelCard:
    """Return a card of one model file in a wheel of `made_wheel`."""
    name, version = wheel.name.split("-")[:2]
    file = CardFile(
        name="model.onnx",
        format="onnx",
        precision="fp32",
        sha256=sha256(data),
        size_bytes=len(data),
        member=member,
        input=(TensorSpec("input", "float32", (1, 4)),),
    )
    source = ModelSource(
        registry="pypi",
        package=name,
        version=version,
        filename=wheel.name,
        package_sha256=sha256(wheel.read_bytes()),
    )
    fields: dict[str, Any] = {
        "name": "made",
        "title": "Made",
        "kind": "audio",
        "licence": "MIT",
        "description": "Made by a test.",
        "source": source,
        "file": (file,),
    }
    return ModelCard(**{**fields, **more})


def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find packages in `folder` and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def serve_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip and npm ask where nobody answers (port 9 discards, where it is open at all)."""
    serve_silence(monkeypatch, 9)


def serve_silence(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let pip and npm ask at a port of this machine that gives no answer."""
    for variable in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")


def copied_project(folder: Path) -> Path:
    """Copy package and cards, so that a test may change them; run it with the folder as cwd."""
    project = folder / "project"
    for name in ("edge", "models", "targets"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def edgekit(project: Path, *arguments: str, python: Path | None = None) -> tuple[int, str, str]:
    """Run the command of a copied project; return its exit code, output and complaints."""
    done = subprocess.run(
        [python or sys.executable, "-m", "edge", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr
