"""Images: what is in them, that they are the same each time, and that other people's tools run them."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_images import layout_of, made_image, made_layer
from small_bundle import write_small

from edge.adapters.bundle import WrittenBundle
from edge.adapters.targets import load_target
from edge.errors import BundleError, ConfigError, UsageError
from edge.workflows.image import WrittenImage, require_image_target, write_image
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

ROOT = Path(__file__).parent.parent.parent
TARGET = load_target("cloud-cpu")


# What is refused.


@pytest.mark.parametrize("name", ["cloud-cpu", "cloud-cpu-4c", "cloud-cpu-arm"])
def test_images_are_written_for_cloud_cpus(name: str) -> None:
    assert require_image_target(name).kind == "cloud-cpu"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "rpi",
            "rpi4: images are for cloud CPUs; a board has no room for a container runtime and a root",
        ),
        (
            "cloud-gpu-t4",
            "cloud-gpu-t4: an image carries no GPU driver and no CUDA libraries: use the provider's image",
        ),
        ("host", "images are for cloud CPUs, not for this machine"),
    ],
)
def test_other_targets_are_refused(name: str, expected: str) -> None:
    with pytest.raises(BundleError) as caught:
        require_image_target(name)
    assert str(caught.value) == expected
    with pytest.raises(ConfigError):
        require_image_target("no-such-target")


# Small images, on a root of two lines.


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return made_image(tmp_path / "base.tar", made_layer(tmp_path)).path


def small(folder: Path, **changes: Any) -> WrittenBundle:
    fields = {"target": "cloud-cpu", "python": "3.11", "architecture": "x86_64", **changes}
    folder.mkdir(exist_ok=True)
    return write_small(folder / "small.pyz", **fields)


def imaged(bundle: WrittenBundle, base: Path | None, output: Path) -> WrittenImage:
    output.parent.mkdir(exist_ok=True)
    return write_image(bundle.path, TARGET, output, base=base)


def layer_files(layout: Path, image: WrittenImage) -> dict[str, bytes | str]:
    """Return what the image's layers hold: the bytes of files, the targets of links."""
    found: dict[str, bytes | str] = {}
    for digest in image.image.layers:
        with tarfile.open(layout / "blobs/sha256" / digest[7:]) as archive:
            for info in archive:
                content = archive.extractfile(info) if info.isreg() else None
                if content is not None:
                    found[info.name] = content.read()
                elif info.issym():
                    found[info.name] = info.linkname
    return found


def test_the_same_bundle_gives_the_same_bytes(base: Path, tmp_path: Path) -> None:
    bundle = small(tmp_path)
    first = imaged(bundle, base, tmp_path / "one" / "a.oci.tar")
    old = os.umask(0o077)
    try:
        second = imaged(bundle, base, tmp_path / "two" / "a.oci.tar")
    finally:
        os.umask(old)
    assert first.image.path.read_bytes() == second.image.path.read_bytes()
    assert first.kubernetes.read_bytes() == second.kubernetes.read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "a.k8s.yaml",
        "a.oci.tar",
    ]


def test_the_image_holds_what_the_device_would_unpack(base: Path, tmp_path: Path) -> None:
    bundle = small(tmp_path)
    image = imaged(bundle, base, tmp_path / "a.oci.tar")
    files = layer_files(layout_of(image.image, tmp_path / "layout"), image)
    home = "opt/edgekit/bundles/digits-host"
    version = f"{home}/versions/{bundle.digest}"
    wheels = {wheel.path for wheel in bundle.manifest.wheels}
    for listed in bundle.manifest.files:
        if listed.path not in wheels:
            content = files[f"{version}/{listed.path}"]
            assert isinstance(content, bytes)
            assert hashlib.sha256(content).hexdigest() == listed.sha256
    assert files["opt/edgekit/site/tiny/__init__.py"] == b"ANSWER = 42\n"
    assert files[f"{version}/site"] == "../../../../site"
    assert files[f"{home}/current"] == "pair/current"
    assert files[f"{home}/pair/current"] == f"../versions/{bundle.digest}"
    assert f"{version}/unpacked.json" in files
    # Nothing says where it was made.
    told = [str(ROOT), str(tmp_path), os.environ["EDGEKIT_CACHE"]]
    data = image.image.path.read_bytes()
    assert [place for place in told if place.encode() in data] == []


def test_models_of_one_runtime_share_its_layer(base: Path, tmp_path: Path) -> None:
    first = imaged(small(tmp_path / "1"), base, tmp_path / "1" / "a.oci.tar")
    other = small(tmp_path / "2", name="other", sequence=1)
    second = imaged(other, base, tmp_path / "2" / "a.oci.tar")
    assert first.image.layers[:-1] == second.image.layers[:-1]
    assert first.image.layers[-1] != second.image.layers[-1]
    assert first.image.digest != second.image.digest


def test_the_configuration_and_the_annotations(base: Path, tmp_path: Path) -> None:
    bundle = small(tmp_path)
    image = imaged(bundle, base, tmp_path / "a.oci.tar")
    layout = layout_of(image.image, tmp_path / "layout")
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / image.image.digest[7:]).read_bytes())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
    assert config["config"]["Entrypoint"] == [
        "/usr/bin/python3.11",
        "-I",
        "-B",
        "/opt/edgekit/bin/digits-host",
    ]
    assert config["config"]["Cmd"] == ["run"]
    assert config["config"]["User"] == "65534:65534"
    assert "A=b" in config["config"]["Env"]
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 3
    assert manifest["annotations"] == config["config"]["Labels"]
    assert manifest["annotations"]["edgekit.bundle.sha256"] == bundle.digest
    assert manifest["annotations"]["org.opencontainers.image.title"] == "digits-host"


def test_the_time_that_rebuilders_set(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = small(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    imaged(bundle, base, tmp_path / "a.oci.tar")
    assert b'"created":"2023-11-14T22:13:20Z"' in (tmp_path / "a.oci.tar").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError) as caught:
        imaged(bundle, base, tmp_path / "b.oci.tar")
    assert str(caught.value) == "SOURCE_DATE_EPOCH: not a number of seconds"
    assert not (tmp_path / "b.oci.tar").exists()


def test_the_kubernetes_manifest_names_image_and_limits(base: Path, tmp_path: Path) -> None:
    image = imaged(small(tmp_path), base, tmp_path / "a.oci.tar")
    job = yaml.safe_load(image.kubernetes.read_text())
    pod = job["spec"]["template"]["spec"]
    assert image.image.reference == f"digits-host:{image.image.digest[7:19]}"
    assert pod["containers"][0]["image"] == image.image.reference
    assert pod["containers"][0]["resources"]["limits"] == {
        "cpu": str(int(TARGET.cpu.cores.value)),
        "memory": f"{int(TARGET.memory.usable_bytes.value) >> 20}Mi",
    }
    assert pod["nodeSelector"]["kubernetes.io/arch"] == "amd64"


def test_a_bundle_for_another_target(base: Path, tmp_path: Path) -> None:
    bundle = small(tmp_path, target="rpi4")
    with pytest.raises(BundleError) as caught:
        imaged(bundle, base, tmp_path / "a.oci.tar")
    expected = f"{bundle.path}: it is for rpi4, and the image is for cloud-cpu"
    assert str(caught.value) == expected


def test_a_damaged_bundle_leaves_no_image(base: Path, tmp_path: Path) -> None:
    bundle = small(tmp_path)
    data = bytearray(bundle.path.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.path.write_bytes(data)
    output = tmp_path / "out" / "a.oci.tar"
    with pytest.raises(BundleError, match="the file is damaged"):
        imaged(bundle, base, output)
    assert list(output.parent.iterdir()) == []


def test_packages_that_the_root_lacks(tmp_path: Path) -> None:
    bundle = small(tmp_path, apt_packages=("libgl1",))
    with pytest.raises(BundleError) as caught:
        imaged(bundle, None, tmp_path / "a.oci.tar")
    assert str(caught.value) == "cloud-cpu: the root has none of libgl1"
    assert caught.value.hint == "give an image that has it as --base"


# The real thing.


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


def real_image(target: str, folder: Path) -> WrittenImage:
    bundle = package_model(resolve_model(None), target, output=folder / f"{target}.pyz")
    output = folder / f"{target}.oci.tar"
    return write_image(bundle.path, require_image_target(target), output)


def tool(name: str) -> str:
    """Return a program's path; without it the test is skipped, but not where it must be there."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(f"{name} is missing: scripts/test installs it")
        pytest.skip(f"needs {name}")
    return found


def output_of(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def container(config: dict[str, Any], root: Path) -> subprocess.CompletedProcess[str]:
    """Run what the unpacked image says, as its user and with its environment, in its root."""
    null = root / "dev/null"
    try:
        os.mknod(null, stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        # Empty to its reader, as the device is.
        null.touch()
    null.chmod(0o666)
    process = config["process"]
    if os.geteuid() == 0:
        user = process["user"]
        enter = [tool("chroot"), f"--userspec={user['uid']}:{user['gid']}", str(root)]
    else:
        enter = [tool("unshare"), "--map-root-user", tool("chroot"), str(root)]
    told = subprocess.run([*enter, "/bin/python3", "-c", ""], capture_output=True, check=False)
    if told.returncode != 0 and b"not permitted" in told.stderr:
        pytest.skip("chroot is not permitted here")
    environment = dict(entry.partition("=")[::2] for entry in process["env"])
    return subprocess.run(
        [*enter, *process["args"]],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.network
@pytest.mark.usefixtures("cache")
def test_public_tools_take_the_image_and_it_runs(tmp_path: Path) -> None:
    skopeo, umoci = tool("skopeo"), tool("umoci")
    image = real_image("cloud-cpu", tmp_path)
    archive = f"oci-archive:{image.image.path}"
    told = json.loads(output_of(skopeo, "inspect", archive))
    assert told["Digest"] == image.image.digest
    assert (told["Architecture"], told["Os"]) == ("amd64", "linux")
    assert told["Layers"] == list(image.image.layers)
    named = f"{archive}:{image.image.reference}"
    output_of(
        skopeo, "copy", "--insecure-policy", "--quiet", named, f"oci:{tmp_path / 'copy'}:copied"
    )
    assert output_of(umoci, "ls", "--layout", tmp_path / "copy") == "copied\n"
    # What umoci unpacks are our own bytes, without a copy in between.
    layout = layout_of(image.image, tmp_path / "layout")
    place = tmp_path / "unpacked"
    output_of(umoci, "unpack", "--rootless", "--image", f"{layout}:{image.image.reference}", place)
    root = place / "rootfs"
    version = root / f"opt/edgekit/bundles/{image.manifest.name}/versions/{image.bundle_digest}"
    for path, size, sha256 in json.loads((version / "unpacked.json").read_bytes()):
        data = (version / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
    done = container(json.loads((place / "config.json").read_bytes()), root)
    assert done.stderr == ""
    assert re.fullmatch(r"(\d+) of \1 samples agree\n", done.stdout)
    assert done.returncode == 0
    # It ran without writing: nothing of what it ran from changed, and no bytecode came to it.
    assert [path for path in root.rglob("*") if path.suffix == ".pyc"] == []
    # The same again gives the same image, and what it is made from is in the cache.
    again = tmp_path / "again"
    again.mkdir()
    assert real_image("cloud-cpu", again).image.digest == image.image.digest
    first, second = (path / image.image.path.name for path in (tmp_path, again))
    assert (
        hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    )


@pytest.mark.network
@pytest.mark.usefixtures("cache")
def test_the_image_of_the_arm_target(tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    image = real_image("cloud-cpu-arm", tmp_path)
    told = json.loads(output_of(skopeo, "inspect", f"oci-archive:{image.image.path}"))
    assert (told["Architecture"], told["Os"]) == ("arm64", "linux")
    assert told["Digest"] == image.image.digest
    files = layer_files(layout_of(image.image, tmp_path / "layout"), image)
    programs = [
        data for data in files.values() if isinstance(data, bytes) and data[:4] == b"\x7fELF"
    ]
    assert len(programs) > 20
    assert {data[18] for data in programs} == {183}  # EM_AARCH64
    job = yaml.safe_load(image.kubernetes.read_text())
    selector = job["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
