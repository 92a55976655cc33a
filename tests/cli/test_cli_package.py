"""`edgekit package` as a user meets it: exit codes, streams, and whole messages."""

import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

from edge.device.bundle import open_bundle

MODELS = Path(__file__).parent.parent.parent / "models" / "digits-cnn"
SCHEMAS = Path(__file__).parent.parent.parent / "edge" / "schemas"


def edgekit(*arguments: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "Missing option '--target'"),
        (("--target", "rpi", "--threads", "0"), 2, "0 is not in the range x>=1"),
        (("--target", "rpi", "--shape", "x"), 2, "expected an input's name, =, and sizes"),
        (
            ("--target", "rpi55"),
            3,
            "error: rpi55: no such target\nhint: did you mean rpi5? targets: ",
        ),
        (("no-such.onnx", "--target", "rpi"), 4, "error: no-such.onnx: no such file\n"),
        (
            ("--target", "rpi4-32bit"),
            5,
            (
                "error: rpi4-32bit: it has no runtime for ONNX models\n"
                "hint: convert the model to TFLite, or take another target: "
            ),
        ),
        (
            ("--target", "cloud-gpu-l4"),
            5,
            (
                "error: cloud-gpu-l4: a bundle carries no GPU driver and no CUDA libraries: "
                "use the provider's image\n"
            ),
        ),
        (
            ("--target", "cloud-cpu", "--base", "root.tar"),
            2,
            "error: --base is the root of an image\nhint: add --format oci\n",
        ),
        (
            ("--target", "rpi", "--runtime", "torch"),
            2,
            "error: rpi4: --runtime torch: no such runtime\nhint: runtimes: auto, ",
        ),
        (
            ("--target", "rpi", "--runtime-version", "new"),
            2,
            "error: --runtime-version new: not a version\nhint: it is like 1.32.0\n",
        ),
        (("--target", "rpi", "--sign", "no-key"), 3, "error: no-key: no such file"),
        (
            ("--target", "rpi", "--runtime", "tflite"),
            2,
            (
                "error: rpi4: --runtime tflite runs TFLite models only; this one is ONNX\n"
                "hint: take --runtime onnxruntime, or convert the model to TFLite\n"
            ),
        ),
        (
            ("--target", "rpi", "--format", "oci"),
            5,
            (
                "error: rpi4: images are for cloud CPUs; a board has no room for a container "
                "runtime and a root\n"
                "hint: leave --format oci out: a bundle is one file that the machine's own Python runs\n"
            ),
        ),
        (
            ("--target", "rpi", "-o", "no/such/folder.pyz"),
            9,
            (
                "error: no/such/folder.pyz: no such file or directory\n"
                "hint: create the folder first\n"
            ),
        ),
    ],
)
def test_wrong_use(tmp_path: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    done = edgekit("package", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.pyz*")) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.onnx", b""),
        ("random.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(range(200))),
        ("cut.onnx", b"\x08\x08\x12\x07pytorch"),
        ("cat.onnx", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    done = edgekit("package", name, "--target", "rpi", folder=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: {name}: ")
    assert len(done.stderr.splitlines()) <= 2
    assert list(tmp_path.glob("*.pyz*")) == []


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
    }
    done = edgekit("package", "--target", "rpi", folder=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (9, "")
    assert "the package registry does not answer" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "hint: check the network and the package index that pip is configured for"
    )
    assert list(tmp_path.glob("*.pyz*")) == []


def test_help_has_an_example(tmp_path: Path) -> None:
    done = edgekit("package", "--help", folder=tmp_path)
    assert done.returncode == 0
    assert "edgekit package --target rpi" in done.stdout


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


@pytest.mark.network
def test_the_default_model_for_a_pi(cache: Path, tmp_path: Path) -> None:
    done = edgekit("package", "--target", "rpi", folder=tmp_path)
    assert done.returncode == 0
    path = tmp_path / "digits-cnn-fp32-rpi4.pyz"
    rows = dict(line.rstrip().split(maxsplit=1) for line in done.stdout.splitlines())
    with open_bundle(str(path)) as bundle:
        assert rows["digest"] == bundle.digest
    assert rows["bundle"] == "digits-cnn-fp32-rpi4.pyz"
    assert rows["target"] == "rpi4: aarch64, Python 3.11, glibc 2.28 or newer"
    assert done.stderr == (
        "on the target: python3 digits-cnn-fp32-rpi4.pyz verify|info|run|probe|install\n"
    )


@pytest.mark.network
def test_json_and_the_manifests_schema(cache: Path, tmp_path: Path) -> None:
    arguments = ("digits-cnn:digits-cnn-fp32.tflite", "--target", "rpi4-32bit", "-o", "x.pyz")
    done = edgekit("package", *arguments, "--threads", "2", "--json", folder=tmp_path)
    answer = json.loads(done.stdout)
    manifest = answer["manifest"]
    schema = json.loads((SCHEMAS / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, schema)
    assert answer["path"] == "x.pyz"
    assert answer["size_bytes"] == (tmp_path / "x.pyz").stat().st_size
    assert manifest["session"] == {
        "backend": "tflite",
        "threads": 2,
        "prepared": False,
        "graph_level": None,
        "provider": None,
    }
    assert manifest["apt_packages"] == ["python3-numpy"]
    with zipfile.ZipFile(tmp_path / "x.pyz") as archive:
        assert json.loads(archive.read("manifest.json")) == manifest


@pytest.mark.network
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_nothing(
    cache: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Whenever it comes: the old bundle stays as it was, and nothing lies beside it."""
    old = tmp_path / "x.pyz"
    old.write_bytes(b"the old one")
    command = [sys.executable, "-m", "edge", "package", "--target", "rpi", "-o", "x.pyz"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            assert process.poll() is None
        process.send_signal(number)
        output, complaint = process.communicate()
    assert (process.returncode, output) == (status, "")
    assert complaint.splitlines()[-1] == {130: "interrupted", 143: "terminated"}[status]
    assert [path.name for path in tmp_path.iterdir()] == ["x.pyz"]
    assert old.read_bytes() == b"the old one"


@pytest.mark.network
def test_a_full_disk(cache: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    edgekit("package", "--target", "rpi", folder=tmp_path)
    done = edgekit(
        "package", "--target", "rpi", "-o", "x.pyz", folder=tmp_path, preexec_fn=small_files
    )
    assert (done.returncode, done.stdout) == (9, "")
    assert done.stderr == "error: x.pyz: file too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["digits-cnn-fp32-rpi4.pyz"]


@pytest.mark.network
def test_what_is_unchanged_is_left_as_it_is(cache: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes((MODELS / "digits-cnn-fp32.onnx").read_bytes())
    command = ("package", "m.onnx", "--target", "rpi", "-o", "x.pyz")
    first = edgekit(*command, folder=tmp_path)
    written = (tmp_path / "x.pyz").stat()
    second = edgekit(*command, folder=tmp_path)
    assert second.stdout == first.stdout
    assert second.stderr == "unchanged since it was written\n" + first.stderr
    assert (tmp_path / "x.pyz").stat().st_ino == written.st_ino
    # Each of these is a change.
    content = (tmp_path / "x.pyz").read_bytes()
    (tmp_path / "x.pyz").write_bytes(content[:-1] + b"?")
    assert "unchanged" not in edgekit(*command, folder=tmp_path).stderr
    assert (tmp_path / "x.pyz").read_bytes() == content
    assert "unchanged" not in edgekit(*command, "--threads", "2", folder=tmp_path).stderr
    model.write_bytes((MODELS / "digits-cnn-int8.onnx").read_bytes())
    done = edgekit(*command, folder=tmp_path)
    assert (done.returncode, "unchanged" in done.stderr) == (0, False)
    with open_bundle(str(tmp_path / "x.pyz")) as bundle:
        assert bundle.manifest.model.precision == "int8"


@pytest.mark.network
def test_a_signed_bundle(cache: Path, tmp_path: Path) -> None:
    made = edgekit("keys", "generate", "-o", "release", folder=tmp_path)
    key_id = made.stdout.strip()
    command = ("package", "--target", "cloud-cpu", "-o", "x.pyz", "--sign", "release")
    done = edgekit(*command, "--sequence", "7", "--json", folder=tmp_path)
    answer = json.loads(done.stdout)
    assert (answer["key_id"], answer["manifest"]["sequence"]) == (key_id, 7)
    verified = edgekit("verify", "x.pyz", "--key", "release.pub", folder=tmp_path)
    assert verified.returncode == 0, verified.stderr
    edgekit("keys", "generate", "-o", "other", folder=tmp_path)
    refused = edgekit("verify", "x.pyz", "--key", "other.pub", folder=tmp_path)
    assert refused.returncode == 5
    # Without a number, it is newer than whatever was signed before.
    answer = json.loads(edgekit(*command, "--json", folder=tmp_path).stdout)
    assert answer["manifest"]["sequence"] > 1_700_000_000
