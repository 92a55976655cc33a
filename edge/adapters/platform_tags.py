"""The tags of the wheels that run on a platform, and how pip is told of it."""

from packaging.tags import Tag, compatible_tags, cpython_tags

from edge.errors import BundleError
from edge.records.platform import Platform

# The oldest glibc of a manylinux tag, and the names that tags had before PEP 600.
_OLDEST_MINOR = {"x86_64": 5, "i686": 5}
_OLDEST_MINOR_ELSEWHERE = 17
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


def platform_tags(platform: Platform) -> list[Tag]:
    """Return the tags of the wheels that run there, best first."""
    version = python_version(platform)
    names = platform_names(platform)
    interpreter = "cp{}{}".format(*version)
    return [
        *cpython_tags(version, [interpreter], names),
        *compatible_tags(version, interpreter, names),
    ]


def platform_names(platform: Platform) -> list[str]:
    """Return the platform parts of those tags: pip has to be told each one."""
    architecture = platform.architecture
    major, _, minor = platform.glibc.partition(".")
    if major != "2" or not minor.isdigit():
        raise BundleError(f"no wheels are made for its C library: {platform.glibc or 'none'}")
    names = []
    for version in range(
        int(minor), _OLDEST_MINOR.get(architecture, _OLDEST_MINOR_ELSEWHERE) - 1, -1
    ):
        names.append(f"manylinux_2_{version}_{architecture}")
        if version in _OLD_NAMES:
            names.append(f"{_OLD_NAMES[version]}_{architecture}")
    return names


def python_version(platform: Platform) -> tuple[int, int]:
    """Return the platform's Python as numbers."""
    major, _, minor = platform.python.partition(".")
    return int(major), int(minor)


def pip_options(platform: Platform) -> list[str]:
    """Return pip's options for this platform in place of the one that it runs on."""
    version = python_version(platform)
    options = ["--python-version={}.{}".format(*version), "--implementation=cp"]
    options += [f"--abi={abi}" for abi in ("cp{}{}".format(*version), "abi3", "none")]
    return options + [f"--platform={name}" for name in platform_names(platform)]


def described(platform: Platform) -> str:
    """Return what of a platform decides which wheels it takes, in words."""
    return f"Python {platform.python} and glibc {platform.glibc} on {platform.architecture}"
