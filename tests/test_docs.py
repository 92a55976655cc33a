"""Every command in the README and in docs/ is run, in the order in which a reader meets it.

A command is a line that begins with `$ ` in a ```console block; lines that follow it are what it
prints and are not compared. `# exit N` at the end says which status it ends with. Each page runs in
a folder of its own that looks like the repository's root.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```(\w*)", re.MULTILINE)
_STATUS = re.compile(r"\s+# exit (\d+)$")
# The test command cannot run itself; that these very tests run shows that it works.
_RUNNING = {"scripts/test"}


def commands(page: Path) -> list[tuple[str, int]]:
    """Return the commands of a page with the exit status that each should have."""
    found = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                status = _STATUS.search(line)
                command = _STATUS.sub("", line[2:])
                found.append((command, int(status.group(1)) if status else 0))
    return found


@pytest.mark.network
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.stem)
def test_every_command_works(page: Path, tmp_path: Path, shared_cache: Path) -> None:
    for name in ("docs", "models", "scripts", "targets", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "EDGEKIT_CACHE": str(shared_cache)}
    for command, status in commands(page):
        if command in _RUNNING:
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_block_of_commands_is_marked_as_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    kinds = set(_FENCE.findall(text)) - {""}
    assert kinds <= {"console", "text", "toml", "json", "python"}, "sh blocks would not be run"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_has_a_page() -> None:
    from edge.cli import _COMMANDS

    for name in _COMMANDS:
        assert (ROOT / "docs" / "reference" / f"{name}.md").is_file()


def test_every_option_is_in_the_reference() -> None:
    import click

    from edge.cli import _COMMANDS, root

    for name in _COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        page = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        for one in [command, *getattr(command, "commands", {}).values()]:
            for parameter in one.params:
                if isinstance(parameter, click.Option):
                    assert parameter.opts[0] in page, f"docs/reference/{name}.md: {parameter.opts}"
