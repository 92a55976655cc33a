"""Small bundles for tests: a real model, the real device slice, and a wheel of a few lines."""

import base64
import hashlib
import io
import lzma
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.adapters.bundle import Content, WrittenBundle, write_bundle
from edge.adapters.signing import Signer
from edge.adapters.slice import licence_text, main_file, slice_files
from edge.device.entry import HEAD_BYTES, MARK, SHEBANG
from edge.device.fit import this_machine
from edge.records.manifest import (
    BundleFile,
    BundleModel,
    BundleSamples,
    BundleWheel,
    Manifest,
)
from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec

MODELS = Path(__file__).parent.parent / "models" / "digits-cnn"
ONNX = MODELS / "digits-cnn-fp32.onnx"
WHEEL = "wheels/tiny-1.0-py3-none-any.whl.xz"


def tiny_wheel(
    files: Mapping[str, bytes] | None = None,
    *,
    record: Mapping[str, bytes] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return a wheel of `files`; RECORD is of `record` instead where given, `extra` is unlisted."""
    content = {"tiny/__init__.py": b"ANSWER = 42\n"} if files is None else dict(files)
    content["tiny-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
    content["tiny-1.0.dist-info/METADATA"] = b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    rows = [
        f"{name},sha256={_recorded(data)},{len(data)}"
        for name, data in {**content, **(record or {})}.items()
    ]
    content["tiny-1.0.dist-info/RECORD"] = "\n".join(
        [*rows, "tiny-1.0.dist-info/RECORD,,"]
    ).encode()
    content.update(extra or {})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in content.items():
            wheel.writestr(zipfile.ZipInfo(name), data)
    return archive.getvalue()


def stored(wheel: bytes) -> bytes:
    """Return a wheel's zip archive with nothing in it compressed."""
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(archive, "w") as new:
        for info in old.infolist():
            new.writestr(zipfile.ZipInfo(info.filename), old.read(info))
    return archive.getvalue()


def packed(wheel: bytes) -> bytes:
    """Return a wheel as a bundle holds it, nothing left out."""
    return lzma.compress(stored(wheel), check=lzma.CHECK_NONE)


def _recorded(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def samples_file(folder: Path, *, wrong: bool = False) -> Path:
    """Write two samples of the digits model, with its outputs or wrong ones."""
    from edge.backends import load_backend

    session = load_backend("onnxruntime").open(str(ONNX), SessionConfig("onnxruntime", 1))
    images = np.load(MODELS / "samples.npz")["images"][:2].reshape(2, 1, 1, 8, 8)
    logits = np.stack([session.run({"input": image})[0] for image in images])
    path = folder / "samples.npz"
    np.savez(path, **{"input.input": images, "output.logits": logits + (1 if wrong else 0)})
    return path


def write_small(
    path: Path,
    *,
    members: Mapping[str, Content] | None = None,
    wheel: bytes | None = None,
    wrong_samples: bool = False,
    signer: Signer | None = None,
    **changes: Any,
) -> WrittenBundle:
    """Write a bundle for this machine; `changes` are fields of the manifest."""
    samples = samples_file(path.parent, wrong=wrong_samples)
    plain = tiny_wheel() if wheel is None else wheel
    content: dict[str, Content] = {
        "LICENSE": licence_text(),
        "__main__.py": main_file(),
        "samples.npz": samples,
        "model/digits.onnx": ONNX,
        WHEEL: packed(plain),
        **slice_files(),
        **(members or {}),
    }

    def manifest(files: tuple[BundleFile, ...]) -> Manifest:
        return replace(small_manifest(files, plain), **changes)

    return write_bundle(path, content, manifest, lambda _fraction: None, signer)


def small_manifest(files: tuple[BundleFile, ...], wheel: bytes | None = None) -> Manifest:
    """Return the manifest of a bundle for this machine with that wheel in it."""
    plain = tiny_wheel() if wheel is None else wheel
    machine = this_machine()
    digests = {file.path: file.sha256 for file in files}
    sizes = {file.path: file.size_bytes for file in files}
    return Manifest(
        name="digits-host",
        sequence=0,
        edgekit_version="0.1.0",
        target="host",
        architecture=machine.architecture,
        python=machine.python,
        glibc="2.17",
        libstdcxx=None,
        cpu_features=(),
        apt_packages=(),
        runtime="onnxruntime",
        runtime_version="1.0",
        session=SessionConfig("onnxruntime", 1),
        model=BundleModel(
            name="digits.onnx",
            format="onnx",
            precision="fp32",
            path="model/digits.onnx",
            sha256=digests["model/digits.onnx"],
            size_bytes=sizes["model/digits.onnx"],
            peak_activation_bytes=None,
            inputs=(TensorSpec("input", "float32", (1, 1, 8, 8)),),
            outputs=(TensorSpec("logits", "float32", (1, 10)),),
            licence="Apache-2.0",
            source="project",
            accuracy=None,
        ),
        wheels=(
            BundleWheel(
                name="tiny",
                version="1.0",
                filename="tiny-1.0-py3-none-any.whl",
                sha256=hashlib.sha256(plain).hexdigest(),
                path=WHEEL,
                unpacked_bytes=len(stored(plain)),
                left_out_files=0,
                left_out_bytes=0,
            ),
        ),
        samples=BundleSamples(
            path="samples.npz",
            count=2,
            compare="close",
            atol=1e-4,
            rtol=1e-4,
            reference="onnxruntime on this machine, one thread",
        ),
        files=files,
    )


def sealed(below: bytes) -> bytes:
    """Return a file whose second line says the digest of what is below it, whatever that is."""
    return SHEBANG + MARK + hashlib.sha256(below).hexdigest().encode() + b"\n" + below


def below_head(data: bytes) -> bytes:
    """Return a bundle's bytes below its first two lines: the signature and the archive."""
    return data[HEAD_BYTES:]
