"""Make docs/images/verdict.svg: what `edgekit advise` really prints on a terminal, as a picture.

The command of the README runs in a pseudo terminal; its output, colours and all, becomes an SVG by
rich, without the web fonts that rich would load.
"""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

COLUMNS = 118
COMMAND = "edgekit advise blazeface-short-range --latency-ms 66 --qps 15"
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "verdict.svg"
FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def on_a_terminal(command: str) -> str:
    """Run a command in a pseudo terminal and return what it printed, with its colours."""
    ours, theirs = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    terminal = {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PATH": path}
    process = subprocess.Popen(
        command.split(), stdout=theirs, stderr=subprocess.DEVNULL, env={**os.environ, **terminal}
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:
            # Linux ends a pseudo terminal whose other side is closed with EIO.
            break
        if not block:
            break
        output += block
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"error: {command} failed")
    return output.decode()


def main() -> None:
    """Run the command and write the picture."""
    text = Text.from_ansi(f"$ {COMMAND}\n{on_a_terminal(COMMAND)}".replace("\r\n", "\n"))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(text)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    plain = FONT_FACES.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "DejaVu Sans Mono")
    picture = console.export_svg(title="edgekit advise", code_format=plain, unique_id="verdict")
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
