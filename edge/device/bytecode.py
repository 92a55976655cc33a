"""Compiles installed Python files, so that no start has to. Device slice: Python 3.8."""

import os


def compile_tree(staged: str, place: str) -> None:
    """Write the bytecode of all Python files below `staged`, which will lie in `place`.

    A file that this Python cannot compile stays as it is: nothing may ever import it.

    The bytecode counts whatever time the source has (PEP 552, unchecked): nobody edits an installed
    version, and a time may change by itself, on FAT at the next mount and without a clock when a
    backup is played back; then every start would compile everything anew.
    """
    import compileall
    import warnings
    from py_compile import PycInvalidationMode

    with warnings.catch_warnings():
        # Of what is odd in other people's code nothing concerns who installs it.
        warnings.simplefilter("ignore")
        compileall.compile_dir(
            staged,
            maxlevels=os.path.abspath(staged).count(os.sep) + 100,
            ddir=place,
            quiet=2,
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
