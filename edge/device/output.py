"""What the device's commands write to stdout. Device slice: Python 3.8."""

import json
import sys
from typing import Any, Dict


def print_line(text: str) -> None:
    """Print one line of an answer."""
    sys.stdout.write(text + "\n")


def print_json(document: Dict[str, Any]) -> None:
    """Print the one JSON document of an answer."""
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
