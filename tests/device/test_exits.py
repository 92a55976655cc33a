"""What the end of a child means, with what the kernel and the child itself have to say about it."""

import json
import signal
from pathlib import Path

import pytest

from edge.device import exits, killed
from edge.device.exits import child_error, last_line
from edge.device.illegal import MARK
from edge.device.killed import killed_text, oom_kills
from edge.device.parent import Limits, run_child

V2 = {"proc/self/cgroup": "0::/system.slice/x.service\n"}
EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 9\n"
TREES = {
    "v2": ({**V2, "sys/fs/cgroup/system.slice/x.service/memory.events": EVENTS.format(2)}, 2),
    "v2 in a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": EVENTS.format(3)}, 3),
    "v2 beside v1": (
        {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/unified/a/memory.events": EVENTS.format(4),
        },
        4,
    ),
    "v1": (
        {
            "proc/self/cgroup": "5:cpu:/b\n4:hugetlb,memory:/a/b\n0::/\n",
            "sys/fs/cgroup/memory/a/b/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
            "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 99\n",
        },
        5,
    ),
    "v1, seen from inside": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n",
            "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 6\n",
        },
        6,
    ),
    "a board without memory cgroups": (
        {"proc/self/cgroup": "0::/user.slice\n", "proc/vmstat": "pgfault 1\noom_kill 7\n"},
        7,
    ),
    "an old kernel": ({"proc/self/cgroup": "4:memory:/\n", "proc/vmstat": "pgfault 1\n"}, None),
    "nothing": ({}, None),
    "damaged": ({**V2, "proc/vmstat": "oom_kill many\n"}, None),
}  # fmt: skip


def tree(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return str(folder)


@pytest.mark.parametrize(("files", "count"), TREES.values(), ids=list(TREES))
def test_the_kernels_count(files: dict[str, str], count: int | None, tmp_path: Path) -> None:
    assert oom_kills(tree(tmp_path, files)) == count


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (1, "the kernel killed it: out of memory (oom_kill rose from 1 to 2)"),
        (2, "killed from outside: not by the kernel for want of memory, but by another program"),
        (None, None),
    ],
)
def test_who_killed_it(before: int | None, text: str | None, tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["v2"][0])
    assert killed_text(before, root) == text
    assert killed_text(before, str(tmp_path / "nothing")) is None


@pytest.mark.parametrize(
    ("before", "what"),
    [
        (3, "the kernel killed it: out of memory (oom_kill rose from 3 to 4)"),
        (4, "killed from outside: not by the kernel for want of memory, but by another program"),
        (None, "killed from outside: most often the system ran out of memory"),
    ],
)
def test_sigkill_says_who(before: int | None, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killed, "oom_kills", lambda _root: 4)
    error = child_error(-signal.SIGKILL, b"hello\n", "the model", before)
    assert str(error) == f"the model: the child died of SIGKILL: {what}"
    assert error.hint == "its last words: hello"


def test_our_own_limit_is_said_to_be_ours() -> None:
    words = b"terminate called after throwing an instance of 'std::bad_alloc'\n"
    for status in (-signal.SIGABRT, -signal.SIGKILL, 1):
        error = child_error(status, words, "m", 3)
        assert str(error) == "m: the child ran out of the memory that it was allowed"


def test_an_instruction_is_looked_up_in_this_machines_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = (
        MARK + json.dumps({"machine": "aarch64", "code": "2094824e", "library": "/a/b.so"}).encode()
    )
    monkeypatch.setattr(exits, "_cpu_features", lambda: ("asimd",))
    error = child_error(-signal.SIGILL, b"\n" + line + b"\n", "m")
    text = "m: the child died of SIGILL: b.so uses an instruction of asimddp, which this CPU lacks"
    assert str(error) == text
    # It was said, but the process did not die of it.
    assert "SIGSEGV" in str(child_error(-signal.SIGSEGV, line, "m"))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (b"", None),
        (b"\n \n", None),
        (b"one\ntwo\n\n", "its last words: two"),
        (b"one\n\n" + MARK + b"{}\n", "its last words: one"),
        (MARK + b"{}\n", None),
        (b"a\x1b[31m\xff\n", "its last words: a\\x1b[31m\ufffd"),
    ],
)
def test_the_last_words(words: bytes, hint: str | None) -> None:
    assert last_line(words) == hint


def test_a_limit_that_no_kernel_knows_is_the_highest() -> None:
    limits = Limits(wall_s=60, memory_bytes=1 << 80)
    answer = run_child(
        "child_tasks:echo", {}, limits=limits, what="m", paths=[str(Path(__file__).parent)]
    )
    assert answer["request"] == {}
