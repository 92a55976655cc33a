import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edge.device.exits import told_error
from edge.device.killed import oom_kills
from edge.device.parent import Limits, memory_limit, run_child, run_program
from edge.device.zygote import preimported
from edge.errors import BundleError, EdgekitError, ModelError, RuntimeFailure

HERE = str(Path(__file__).parent)
WAIT_S = 30

Run = Callable[..., Any]

# A small process of its own, as a bundle is: this one has threads, and imported numpy.
FORKING = """
import json, sys
{before}
from edge.device import forked, parent
from edge.errors import EdgekitError
import colorsys
parent.fork_children()
{ahead}
told = json.loads(sys.stdin.read())
limits = parent.Limits(**told.pop("limits"))
progress = []
try:
    answer = parent.run_child(**told, limits=limits, what="the model", progress=progress.append)
    print(json.dumps({{"answer": answer, "progress": progress}}))
except EdgekitError as error:
    family = type(error).__name__
    error = {{"family": family, "what": error.what, "where": error.where, "hint": error.hint}}
    print(json.dumps({{"error": error}}))
"""


def fork(task: str, limits: Limits, request: Any, before: str = "", ahead: str = "") -> Any:
    """Run a task in a fork of a fresh process; return its answer and what progress it told."""
    told = {"task": task, "request": request, "paths": [HERE], "limits": asdict(limits)}
    printed = subprocess.check_output(
        [sys.executable, "-W", "error", "-c", FORKING.format(before=before, ahead=ahead)],
        input=json.dumps(told).encode(),
        timeout=2 * WAIT_S,
    )
    answer = json.loads(printed)
    if "error" in answer:
        raise told_error(answer["error"], "the model")
    return answer["answer"], answer["progress"]


@contextmanager
def zygote() -> Iterator[None]:
    with preimported("tflite", [HERE]) as started:
        yield
        assert started.reason is None


@pytest.fixture(params=["executed", "forked", "zygote"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(
        task: str,
        limits: Limits | None = None,
        progress: Callable[[float], None] | None = None,
        **request_: Any,
    ) -> Any:
        limits = limits or Limits(wall_s=WAIT_S)
        task = f"child_tasks:{task}"
        if request.param == "forked":
            answer, told = fork(task, limits, request_)
            for fraction in told if progress else ():
                progress(fraction)
            return answer
        way = zygote if request.param == "zygote" else nullcontext
        with way():
            return run_child(
                task, request_, limits=limits, what="the model", paths=[HERE], progress=progress
            )

    return run


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state.split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def wait_for_text(path: Path) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if path.exists() and path.read_text(encoding="utf-8"):
            return path.read_text(encoding="utf-8")
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_request_and_answer_are_json_and_stdin_is_closed(run: Run) -> None:
    answer = run("echo", number=1, text="é", nothing=None)
    assert answer["request"] == {"number": 1, "text": "é", "nothing": None}
    assert answer["stdin"] == ""
    assert "" not in answer["path"]
    assert HERE in answer["path"][:2]


# Where the kernel counts whom it killed for want of memory, it was not the kernel.
KILLED = (
    "killed from outside: most often the system ran out of memory"
    if oom_kills() is None
    else "killed from outside: not by the kernel for want of memory, but by another program"
)


@pytest.mark.parametrize(
    ("task", "request_", "what", "hint"),
    [
        (
            "read_null",
            {},
            (
                "the child died of SIGSEGV: the runtime read or wrote memory that is not its own: "
                "a damaged model or a bug"
            ),
            None,
        ),
        (
            "die_of",
            {"signal": int(signal.SIGILL)},
            (
                "the child died of SIGILL: an instruction that this CPU lacks: the runtime was built "
                "for a newer one"
            ),
            None,
        ),
        (
            "die_of",
            {"signal": int(signal.SIGKILL)},
            "the child died of SIGKILL: " + KILLED,
            None,
        ),
        ("die_of", {"signal": int(signal.SIGRTMIN) + 3}, "the child died of signal 37", None),
        ("leave_without_answer", {}, "the child ended with status 0 and no answer", None),
        ("answer_nonsense", {}, "the child failed: its answer is not JSON", None),
        (
            "raise_unknown",
            {},
            "the child ended with status 1 and no answer",
            "its last words: LookupError: the zebra \\x1b[31m is missing",
        ),
        (
            "ask_for_memory",
            {"bytes": 8 << 30},
            "it needs more than the 1536 MiB of memory that it was allowed",
            None,
        ),
        (
            "say_bad_alloc",
            {},
            "the child ran out of the memory that it was allowed",
            "its last words: terminate called after throwing an instance of 'std::bad_alloc'",
        ),
    ],
)
def test_a_failing_child_is_decoded(
    run: Run, task: str, request_: dict[str, Any], what: str, hint: str | None
) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        run(task, **request_)
    assert str(caught.value) == f"the model: {what}"
    assert caught.value.hint == hint


def test_an_error_of_ours_comes_back_as_itself(run: Run) -> None:
    with pytest.raises(BundleError) as caught:
        run("raise_ours")
    assert (str(caught.value), caught.value.hint) == ("part 7: it is broken", "do it again")


def test_a_hanging_child_is_ended(run: Run) -> None:
    with pytest.raises(RuntimeFailure, match=r"^the model: no answer within 0\.5 s$"):
        run("hang", Limits(wall_s=0.5))


def test_a_spinning_child_meets_its_cpu_limit(run: Run) -> None:
    with pytest.raises(RuntimeFailure, match="SIGXCPU: it used more CPU time than the limit"):
        run("spin", Limits(wall_s=WAIT_S, cpu_s=1))


def test_a_child_may_not_fill_the_disk(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "much"
    with pytest.raises(RuntimeFailure) as caught:
        run("write_much", Limits(file_bytes=1 << 16), path=str(path), bytes=1 << 20)
    assert caught.value.hint == "its last words: OSError: [Errno 27] File too large"
    assert path.stat().st_size <= 1 << 16


def test_a_chatty_child_neither_blocks_nor_floods(run: Run) -> None:
    assert run("talk", bytes=8 << 20) == "said it"


def test_progress_arrives_in_order(run: Run) -> None:
    seen: list[float] = []
    answer = run("progress", progress=seen.append)
    assert (answer, seen) == ("done", [0.0, 0.5, 1.0])


def test_what_the_child_started_ends_with_it(run: Run, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert run("leave_grandchild", pid_file=str(pid_file)) == "left"
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("way", ["", "fork_children();"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_child_dies_with_its_parent(tmp_path: Path, number: signal.Signals, way: str) -> None:
    pid_file = tmp_path / "pid"
    program = (
        f"from edge.device.parent import Limits, fork_children, run_child;{way}"
        f"run_child('child_tasks:hang', {{'pid_file': {str(pid_file)!r}}}, limits=Limits(),"
        f" what='x', paths=[{HERE!r}])"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    child = int(wait_for_text(pid_file))
    parent.send_signal(number)
    assert parent.wait(WAIT_S) != 0
    assert is_gone(child)


def test_the_child_has_none_of_the_parents_files(run: Run) -> None:
    open_files = run("open_files")
    assert len(open_files) >= 4
    assert {name for name in open_files if not name.startswith("pipe:")} == {"/dev/null"}


@pytest.mark.parametrize(
    ("before", "is_fork"),
    [
        ("", True),
        ("import numpy", False),
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            False,
        ),
    ],
)
def test_only_a_small_process_is_forked(before: str, *, is_fork: bool) -> None:
    answer, _ = fork("child_tasks:knows", Limits(wall_s=WAIT_S), {"module": "colorsys"}, before)
    assert answer is is_fork


@pytest.mark.parametrize(("paths", "is_ahead"), [([HERE], True), (["/elsewhere"], False)])
def test_a_child_forked_ahead_is_used_if_it_fits(paths: list[str], *, is_ahead: bool) -> None:
    ahead = f"forked.fork_ahead({paths!r}, ['wave'])"
    answer, _ = fork("child_tasks:knows", Limits(wall_s=WAIT_S), {"module": "wave"}, ahead=ahead)
    assert answer is is_ahead


def test_a_module_that_cannot_be_imported_ahead_is_the_tasks_to_tell() -> None:
    ahead = f"forked.fork_ahead([{HERE!r}], ['no_such_module', 'wave'])"
    answer, _ = fork("child_tasks:knows", Limits(wall_s=WAIT_S), {"module": "wave"}, ahead=ahead)
    assert answer is False


def test_a_child_forked_ahead_that_nobody_needs_goes_away(tmp_path: Path) -> None:
    program = (
        "from edge.device import forked; forked.fork_ahead([], []);"
        "print(forked._ahead[0].pid, flush=True)"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], timeout=WAIT_S)
    assert is_gone(int(printed))


def test_a_fork_that_is_left_has_answered_and_ends(tmp_path: Path) -> None:
    program = f"""
import sys
from edge.device import parent
parent.fork_children()
limits = parent.Limits(wall_s={WAIT_S})
request = {{"pid_file": {str(tmp_path / "pid")!r}}}
for _ in range(2):
    print(parent.run_child("child_tasks:leave_grandchild", request, limits=limits, what="x",
          paths=[{HERE!r}], leave=True), "subprocess" in sys.modules)
"""
    printed = subprocess.check_output(
        [sys.executable, "-c", program], text=True, stdin=subprocess.DEVNULL, timeout=WAIT_S
    )
    # The second one is a fork, too: what is left of the first one is gone by then.
    assert printed == "left False\n" * 2
    assert is_gone(int((tmp_path / "pid").read_text(encoding="utf-8")))


def test_a_fork_ignores_what_is_set_for_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer, _ = fork("child_tasks:echo", Limits(wall_s=WAIT_S), {})
    assert answer["path"][1] == HERE
    assert str(tmp_path) not in answer["path"]


def test_memory_grows_with_the_model_and_its_threads() -> None:
    assert memory_limit(0) == 1536 << 20
    assert memory_limit(1 << 30) == (300 << 20) + (3 << 30)
    assert memory_limit(0, threads=4) == (1536 + 3 * 136) << 20


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_program_gives_what_it_printed(tmp_path: Path) -> None:
    path = program(tmp_path, "import sys; print(sys.argv[1:], sys.stdin.read() == '')")
    printed = run_program([path, "probe", "--json"], wall_s=WAIT_S, what="the bundle")
    assert printed == b"['probe', '--json'] True\n"


@pytest.mark.parametrize(
    ("text", "family", "message", "hint"),
    [
        (
            "sys.stderr.write('error: x.pyz: no\\nhint: again\\n'); sys.exit(5)",
            BundleError,
            "x.pyz: no",
            "again",
        ),
        ("sys.stderr.write('error: x: bad\\n'); sys.exit(4)", ModelError, "x: bad", None),
        (
            "sys.exit(99)",
            RuntimeFailure,
            "the bundle: the child ended with status 99 and no answer",
            None,
        ),
        (
            "import os; os.kill(os.getpid(), 4)",
            RuntimeFailure,
            (
                "the bundle: the child died of SIGILL: an instruction that this CPU lacks: the "
                "runtime was built for a newer one"
            ),
            None,
        ),
    ],
)
def test_a_failing_program_gives_the_error_it_told(
    tmp_path: Path, text: str, family: type[EdgekitError], message: str, hint: str | None
) -> None:
    with pytest.raises(EdgekitError) as caught:
        run_program([program(tmp_path, "import sys; " + text)], wall_s=WAIT_S, what="the bundle")
    assert type(caught.value) is family
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_a_hanging_program_is_ended(tmp_path: Path) -> None:
    path = program(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(RuntimeFailure, match=r"^the bundle: no answer within 0\.5 s$"):
        run_program([path], wall_s=0.5, what="the bundle")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_with_us_and_tidies_up(tmp_path: Path, number: signal.Signals) -> None:
    pid_file, unpacked = tmp_path / "pid", tmp_path / "unpacked"
    path = program(
        tmp_path,
        f"""
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
unpacked = pathlib.Path({str(unpacked)!r})
unpacked.mkdir()
try:
    pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))
    time.sleep(60)
finally:
    unpacked.rmdir()
""",
    )
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
        "from edge.device.parent import run_program;"
        f"run_program([{path!r}], wall_s=60, what='x')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    child = int(wait_for_text(pid_file))
    parent.send_signal(number)
    parent.wait(WAIT_S)
    assert is_gone(child)
    assert not unpacked.exists()
