"""How long `edgekit --help` takes against `python -c "import click"`, as a ratio of one run.

Both are started in turns, so that whatever else the machine does hits both alike; the ratio of
the medians is printed, and the exit status is 1 when it is above the limit.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 1.5


def seconds(command: list[str]) -> float:
    """Run a command and return how long it took."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measure both commands in turns and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    help_command = [str(Path(sys.executable).with_name("edgekit")), "--help"]
    click_command = [sys.executable, "-c", "import click"]
    seconds(help_command)
    seconds(click_command)
    pairs = [(seconds(help_command), seconds(click_command)) for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = ours / theirs
    print(f"edgekit --help       {ours * 1e3:6.1f} ms (median of {rounds})")
    print(f"import click         {theirs * 1e3:6.1f} ms")
    print(f"ratio                {ratio:6.2f}    (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
