"""A share on the command line: `5%`."""

import re
from typing import Any

import click


class Share(click.ParamType[float]):
    """A share in percent: `5%` is 0.05."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a bare number might mean either and is refused."""
        match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?) ?%", str(value), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is no share such as 5%", param, ctx)
        return float(match.group(1)) / 100
