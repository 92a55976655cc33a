"""Installing, updating, going back and removing, as a user does it on the device."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundle import tiny_wheel, write_small

from edge.device import install as install_module
from edge.device.bundle import open_bundle
from edge.device.durable import in_use, unused
from edge.device.install import install
from edge.device.place import Place, place_of, plain_name
from edge.device.versions import current_version, prune
from edge.errors import BundleError, HostError, RuntimeFailure

NAME = "digits-host"
HOLD = """
import fcntl, sys
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_EX)
print('held', flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three versions of a bundle, the last with samples that disagree."""
    folder = tmp_path_factory.mktemp("versions")
    paths = []
    for number in range(3):
        paths.append(folder / f"{number}.pyz")
        wheel = tiny_wheel({"tiny/__init__.py": b"ANSWER = %d\n" % number})
        write_small(paths[-1], wheel=wheel, sequence=number + 1, wrong_samples=number == 2)
    return paths


@pytest.fixture(scope="module")
def digests(bundles: list[Path]) -> list[str]:
    found = []
    for path in bundles:
        with open_bundle(str(path)) as bundle:
            found.append(bundle.digest)
    return found


def device(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    if words[0].endswith(".pyz"):
        words.insert(0, sys.executable)
    return subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "root"))


def put(path: Path, place: Place, *, allow_older: bool = False) -> str:
    with open_bundle(str(path)) as bundle:
        return install(bundle, place, allow_older=allow_older).was


def listed(place: Place) -> list[tuple[str, str, bool]]:
    done = device(Path(place.program("edgekit")), "list", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["bundles"]
    return [(row["sha256"], row["state"], row["whole"]) for row in rows]


def test_the_life_of_a_bundle(bundles: list[Path], digests: list[str], place: Place) -> None:
    first, second = (digest[:12] for digest in digests[:2])
    program, tool = Path(place.program(NAME)), Path(place.program("edgekit"))

    done = device(bundles[0], "install", "--root", place.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"installed {NAME} {first}, sequence 1\n"
        "self-test: 2 of 2 samples agree\n"
        f"run it: {program} run\n"
    )
    assert device(program, "run").stdout == "2 of 2 samples agree\n"
    assert device(tool, "run", NAME, "--threads", "1").stdout == "2 of 2 samples agree\n"

    done = device(tool, "install", bundles[1])
    assert done.stdout == (
        f"installed {NAME} {second}, sequence 2\n"
        "self-test: 2 of 2 samples agree\n"
        f"rollback: to {first}\n"
        f"run it: {program} run\n"
    )
    assert listed(place) == [(digests[1], "current", True), (digests[0], "previous", True)]
    done = device(tool, "install", bundles[1])
    assert done.stdout.startswith(f"{NAME} {second} is installed already, and whole\n")

    done = device(bundles[0], "install", "--root", place.root)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        f"error: {bundles[0]}: it is older than the installed version: sequence 1, installed 2\n"
        "hint: --allow-older installs it all the same; rollback goes back to the version before\n"
    )

    done = device(program, "rollback")
    assert done.stdout == f"{NAME} {first} is current again; rollback goes to {second}\n"
    assert listed(place) == [(digests[0], "current", True), (digests[1], "previous", True)]
    assert device(bundles[0], "rollback", "--root", place.root).returncode == 0
    assert listed(place)[0][0] == digests[1]
    assert device(tool, "install", bundles[0], "--allow-older").returncode == 0
    assert listed(place) == [(digests[0], "current", True), (digests[1], "previous", True)]

    assert device(program, "uninstall").stdout == f"{NAME} is uninstalled\n"
    assert sorted(path.name for path in Path(place.bundles).iterdir()) == [".lock"]
    assert [path.name for path in Path(place.programs).iterdir()] == ["edgekit"]
    done = device(tool, "uninstall", NAME)
    assert done.returncode == 5
    assert done.stderr == (
        f"error: {place.root}: {NAME} is not installed\nhint: installed: nothing\n"
    )
    assert device(tool, "list").stdout == f"nothing is installed in {place.root}\n"


@pytest.fixture(scope="module")
def updated(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Path]:
    """A place with two versions installed, and its launcher; nobody changes it."""
    place = Place(str(tmp_path_factory.mktemp("updated")))
    for path in bundles[:2]:
        put(path, place)
    return place, Path(place.program(NAME))


def test_the_launcher_needs_no_bundle_file(
    updated: tuple[Place, Path], bundles: list[Path], tmp_path: Path
) -> None:
    _, program = updated
    link = tmp_path / "link"
    link.symlink_to(program)
    for start in (program, link):
        assert device(start, "info", PATH="/nonexistent").returncode == 0
    with open_bundle(str(bundles[1])) as bundle:
        manifest = json.loads(bundle.archive.read("manifest.json"))
    assert json.loads(device(program, "info", "--json").stdout) == manifest
    inputs, outputs = tmp_path / "inputs.npz", tmp_path / "outputs.npz"
    current = program.parent.parent / "bundles" / NAME / "current"
    shutil.copy(current / "samples.npz", inputs)
    arguments = ["--inputs", str(inputs), "--outputs", str(outputs)]
    done = device(program, "run", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"2 samples run, outputs in {outputs}\n"
    assert outputs.is_file()
    assert device(program, "run", "--inputs", str(inputs)).returncode == 2
    done = device(program, "probe", "--min-time", "0", "--min-queries", "5", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{NAME}.measurement.json").is_file()


def test_nothing_of_a_version_changes_while_it_runs(updated: tuple[Place, Path]) -> None:
    place, program = updated
    version = current_version(place, NAME)
    assert version is not None

    def files() -> dict[str, int]:
        found = Path(version.folder).rglob("*")
        return {str(path): path.stat().st_mtime_ns for path in found}

    before = files()
    assert device(program, "run").returncode == 0
    assert files() == before
    assert any("__pycache__" in path and "/edge/" in path for path in before)
    assert any("__pycache__" in path and "/site/" in path for path in before)


def test_verify_finds_what_went_bad(bundles: list[Path], digests: list[str], place: Place) -> None:
    put(bundles[0], place)
    program = Path(place.program(NAME))
    done = device(program, "verify")
    assert done.returncode == 0
    assert done.stdout.startswith("the installed bundle is intact: ")
    assert done.stdout.splitlines()[0].endswith(f"from sha256 {digests[0]}")
    folder = program.parent.parent / "bundles" / NAME / "current"
    model = folder / "model" / "digits.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    done = device(program, "verify", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["damaged"] == ["model/digits.onnx"]
    done = device(program, "verify")
    assert (done.returncode, done.stdout) == (5, "damaged: model/digits.onnx\n")
    assert done.stderr.splitlines()[0].endswith(" installed files are not as they were")
    assert done.stderr.splitlines()[1] == "hint: install it again"


def test_installing_again_repairs(bundles: list[Path], digests: list[str], place: Place) -> None:
    put(bundles[0], place)
    put(bundles[1], place)
    version = current_version(place, NAME)
    assert version is not None
    Path(version.folder, "samples.npz").unlink()
    assert listed(place) == [(digests[1], "current", False), (digests[0], "previous", True)]
    assert put(bundles[1], place) == "this version, damaged"
    assert listed(place) == [(digests[1], "current", True), (digests[0], "previous", True)]
    repaired = current_version(place, NAME)
    assert repaired is not None
    # The damaged one stayed until the new one was whole.
    assert repaired.folder == version.folder + "-2"
    assert not Path(version.folder).exists()
    assert device(Path(place.program(NAME)), "run").returncode == 0


def test_a_damaged_version_is_not_rolled_back_to(bundles: list[Path], place: Place) -> None:
    put(bundles[0], place)
    program = Path(place.program(NAME))
    done = device(program, "rollback")
    assert (done.returncode, done.stderr) == (
        5,
        f"error: {NAME}: there is no version before the current one\nhint: install another one\n",
    )
    put(bundles[1], place)
    Path(program.parent.parent, "bundles", NAME, "previous", "LICENSE").unlink()
    done = device(program, "rollback")
    assert done.returncode == 5
    assert done.stderr.splitlines()[0].endswith(": the version before is damaged")
    assert device(program, "run").returncode == 0


def test_samples_that_disagree_refuse_the_installation(
    bundles: list[Path], digests: list[str], place: Place
) -> None:
    put(bundles[0], place)
    with pytest.raises(RuntimeFailure) as caught:
        put(bundles[2], place)
    assert caught.value.what.startswith("2 of 2 samples disagree here, the first in output logits:")
    assert listed(place) == [(digests[0], "current", True)]
    versions = Path(place.versions(NAME))
    assert [path.name for path in versions.iterdir()] == [digests[0]]


def test_another_machine_refuses_it_before_anything_is_written(
    tmp_path: Path, place: Place
) -> None:
    write_small(tmp_path / "pi.pyz", architecture="armv6l")
    with pytest.raises(BundleError, match=r"made for armv6l, this machine is"):
        put(tmp_path / "pi.pyz", place)
    assert sorted(path.name for path in Path(place.bundles).iterdir()) == [".lock"]
    assert list(Path(place.programs).iterdir()) == []


def test_too_little_disk_is_told_before_anything_is_written(
    bundles: list[Path], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(HostError) as caught:
        put(bundles[0], place)
    assert caught.value.what.startswith("unpacking needs 64.")
    assert caught.value.what.endswith(" MiB, and 1 MiB are free")
    assert caught.value.hint == (
        "free some disk space, or choose another folder with --root DIR or EDGEKIT_HOME"
    )
    assert sorted(path.name for path in Path(place.bundles).iterdir()) == [".lock"]


def test_a_full_disk_leaves_what_was_there(
    bundles: list[Path], digests: list[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bundles[0], place)

    def full(_folder: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(install_module, "flush_file_system", full)
        with pytest.raises(HostError, match="no space left on device"):
            put(bundles[1], place)
    assert listed(place) == [(digests[0], "current", True)]
    assert len(list(Path(place.versions(NAME)).iterdir())) == 1


def test_a_place_that_is_mounted_noexec_is_explained(
    bundles: list[Path], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = list(os.statvfs("."))
    fields[8] |= os.ST_NOEXEC
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(fields))
    with pytest.raises(HostError) as caught:
        put(bundles[0], place)
    assert str(caught.value) == (
        f"{place.root}: its file system is mounted noexec, and the runtime's code has to run there"
    )
    assert caught.value.hint == "choose another folder with --root DIR or EDGEKIT_HOME"


def test_a_place_that_cannot_be_written_is_explained(bundles: list[Path]) -> None:
    done = device(bundles[0], "install", EDGEKIT_HOME="/proc/no-such-place")
    assert done.returncode == 9
    assert done.stderr == (
        "error: /proc/no-such-place: no such file or directory\n"
        "hint: choose another folder with --root DIR or EDGEKIT_HOME\n"
    )


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", ".x", "-x", "", "a b", "edgekit", "x.part"])
def test_a_hostile_name_is_refused(name: str, tmp_path: Path, place: Place) -> None:
    with pytest.raises(BundleError, match="not a name to install a bundle under"):
        plain_name(name)
    write_small(tmp_path / "odd.pyz", name=name)
    with pytest.raises(BundleError, match="not a name to install a bundle under"):
        put(tmp_path / "odd.pyz", place)
    assert not Path(place.root).exists()


def test_a_name_that_is_given_is_checked(bundles: list[Path], place: Place) -> None:
    done = device(bundles[0], "uninstall", "../../etc", "--root", place.root)
    assert done.returncode == 5
    assert done.stderr.startswith("error: not a name to install a bundle under: '../../etc'\n")


def test_where_the_place_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGEKIT_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert place_of(None).root == "/var/lib/edgekit"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    assert place_of(None).root == "/home/ada/.local/share/edgekit"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert place_of(None).root == "/data/edgekit"
    monkeypatch.setenv("EDGEKIT_HOME", "/home2")
    assert place_of(None).root == "/home2"
    assert place_of("/root3").root == "/root3"


def test_a_version_in_use_is_not_pruned(
    bundles: list[Path], digests: list[str], place: Place, tmp_path: Path
) -> None:
    put(bundles[0], place)
    kept = current_version(place, NAME)
    assert kept is not None
    write_small(tmp_path / "third.pyz", sequence=9)
    with in_use(kept.folder) as there, unused(kept.folder) as free:
        assert there
        assert not free
    with in_use(kept.folder):
        put(bundles[1], place)
        put(tmp_path / "third.pyz", place)
        assert Path(kept.folder).is_dir()
    prune(place, NAME)
    assert not Path(kept.folder).exists()


def test_pairs_of_installations_at_once(
    bundles: list[Path], digests: list[str], place: Place
) -> None:
    """Several pairs, of two versions and of one, all into the same place."""
    for pair in ((0, 1), (1, 1), (0, 1)):
        command = ["install", "--allow-older", "--root", place.root]
        both = [
            subprocess.Popen(
                [sys.executable, str(bundles[n]), *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in pair
        ]
        for process in both:
            _, complaint = process.communicate()
            assert process.returncode == 0, complaint
            assert complaint in ("", f"waiting: another command is at work in {place.root}\n")
        rows = listed(place)
        assert {row[0] for row in rows} == {digests[0], digests[1]}
        assert all(whole for *_, whole in rows)
        assert device(Path(place.program(NAME)), "verify", "--integrity").returncode == 0
        assert len(list(Path(place.versions(NAME)).iterdir())) == 2
        assert list(Path(place.root).rglob("*.part")) == []


def test_a_second_command_waits_and_says_so(bundles: list[Path], place: Place) -> None:
    put(bundles[0], place)
    lock = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            place.lock,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with lock:
        assert lock.stdout is not None
        assert lock.stdin is not None
        assert lock.stdout.readline() == b"held\n"
        command = [sys.executable, str(bundles[1]), "install", "--root", place.root]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as second:
            assert second.stderr is not None
            told = second.stderr.readline().decode()
            assert told == f"waiting: another command is at work in {place.root}\n"
            lock.stdin.close()
            assert second.wait() == 0
