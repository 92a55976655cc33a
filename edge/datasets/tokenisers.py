"""The tokeniser of a tokenizer.json: our own for WordPiece, the library `tokenizers` for others."""

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any, Final, Protocol

from edge.device.tokens import WordPiece
from edge.errors import HostError, UsageError

LIBRARY: Final = "tokenizers"
EXTRA: Final = "text"
_LARGEST_BYTES: Final = 256 << 20
_PADDINGS: Final = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")


class Tokeniser(Protocol):
    """What makes numbers of a text; `padding` is the number that fills up."""

    padding: int

    def ids(self, text: str, most: int) -> list[int]:
        """Return at most `most` numbers, marks included."""
        ...


def open_tokeniser(path: Path) -> Tokeniser:
    """Return the tokeniser that a tokenizer.json describes.

    Raises:
        UsageError: it is none.
        HostError: it is of a kind for which the library is needed, and that is not installed.
    """
    kind = _kind(path)
    if kind == ("WordPiece", "BertNormalizer"):
        return WordPiece(str(path))
    if importlib.util.find_spec(LIBRARY) is None:
        what = f"a tokeniser of the kind {kind[0]} with {kind[1]} needs the library {LIBRARY}"
        raise HostError(what, where=path, hint=f"pip install 'edgekit-deploy[{EXTRA}]'")
    return _Library(path)


def _kind(path: Path) -> tuple[str, str]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UsageError(f"larger than {_LARGEST_BYTES} bytes", where=path)
        with path.open(encoding="utf-8") as file:
            told = json.load(file)
        normalizer = told.get("normalizer") or {}
        # Files of old have no type; they are WordPiece (tokenizers, models/mod.rs).
        kinds = told["model"].get("type", "WordPiece"), normalizer.get("type", "no normaliser")
    except OSError as error:
        raise UsageError((error.strerror or "unreadable").lower(), where=path) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError("not a tokenizer.json", where=path) from error
    model, normal = (str(kind) for kind in kinds)
    if model == "WordPiece" and normal == "no normaliser":
        normal = "BertNormalizer"
    return model, normal


class _Library:
    """Any tokeniser, by the library tokenizers."""

    def __init__(self, path: Path) -> None:
        library = importlib.import_module(LIBRARY)
        # It raises nothing more exact than Exception.
        try:
            self._tokens: Any = library.Tokenizer.from_file(str(path))
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"the library {LIBRARY} refuses it: {reason}", where=path) from error
        told = self._tokens.padding or {}
        numbers = [self._tokens.token_to_id(mark) for mark in _PADDINGS]
        known = (number for number in numbers if number is not None)
        self.padding = int(told.get("pad_id", next(known, 0)))
        self._tokens.no_padding()

    def ids(self, text: str, most: int) -> list[int]:
        """Return at most `most` numbers, marks included."""
        self._tokens.enable_truncation(most)
        return list(self._tokens.encode(text).ids)[:most]
