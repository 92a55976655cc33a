"""Lines of text as token numbers, by WordPiece, in the limited child. Device slice: Python 3.8."""

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence

from edge.errors import UsageError, printable
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array

_MOST_LINES = 10_000
# CJK ideographs stand for themselves (BERT, tokenization.py, _is_chinese_char).
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """BERT's tokeniser (google-research/bert, tokenization.py), from a `tokenizer.json`."""

    def __init__(self, path: str) -> None:
        """Read the vocabulary.

        Raises:
            UsageError: it is none, or one for another kind of tokeniser.
        """
        try:
            with open(path, encoding="utf-8") as file:
                told = json.load(file)
            model, normalizer = told["model"], told.get("normalizer") or {}
            kinds = model.get("type", "WordPiece"), normalizer.get("type", "BertNormalizer")
            if kinds != ("WordPiece", "BertNormalizer"):
                what = "a tokeniser of the kind {}, {} is not built in".format(*kinds)
                raise UsageError(what, where=path, hint="tokenise yourself: give an .npz of tokens")
            self._ids: Dict[str, int] = dict(model["vocab"])
            self._prefix = str(model.get("continuing_subword_prefix", "##"))
            self._longest = int(model.get("max_input_chars_per_word", 100))
            self._unknown = self._ids[str(model.get("unk_token", "[UNK]"))]
            self._first, self._last = self._ids["[CLS]"], self._ids["[SEP]"]
            self.padding = int(self._ids.get("[PAD]", 0))
        except OSError as error:
            raise UsageError((error.strerror or "unreadable").lower(), where=path) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError("not a tokenizer.json with a vocabulary", where=path) from error
        self._lower = bool(normalizer.get("lowercase", True))
        strips = normalizer.get("strip_accents")
        self._strips = self._lower if strips is None else bool(strips)
        self._marks = _marks(told.get("added_tokens"), path)

    def ids(self, text: str, most: int) -> List[int]:
        """Return the numbers of a text: at most `most`, the mark at each end included."""
        found: List[int] = []
        for part in self._parts(text):
            if part in self._marks:
                found.append(self._marks[part])
            for word in () if part in self._marks else _words(self._normal(part)):
                found.extend(self._pieces(word))
                if len(found) >= most:
                    break
            if len(found) >= most:
                break
        return [self._first, *found[: max(0, most - 2)], self._last][:most]

    def _parts(self, text: str) -> List[str]:
        """Split at the marks, such as [SEP]: they stand for themselves, in a text as well."""
        if not self._marks:
            return [text]
        longest_first = sorted(self._marks, key=len, reverse=True)
        return re.split("({})".format("|".join(map(re.escape, longest_first))), text)

    def _normal(self, text: str) -> str:
        if self._strips:
            text = unicodedata.normalize("NFD", text)
            text = "".join(c for c in text if unicodedata.category(c) != "Mn")
        # Letter by letter, as the library tokenizers does: no sigma is a final one.
        return "".join(c.lower() for c in text) if self._lower else text

    def _pieces(self, word: str) -> List[int]:
        """Return the longest pieces that the word is made of, from its beginning on."""
        if len(word) > self._longest:
            return [self._unknown]
        pieces: List[int] = []
        start = 0
        while start < len(word):
            head = self._prefix if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if head + word[start:e] in self._ids), None)
            if end is None:
                return [self._unknown]
            pieces.append(self._ids[head + word[start:end]])
            start = end
        return pieces


def _marks(added: Any, path: str) -> Dict[str, int]:
    """Return the marks of a `tokenizer.json` that are looked for before anything else is done."""
    try:
        known = [mark for mark in added or () if not mark.get("normalized", False)]
        return {str(mark["content"]): int(mark["id"]) for mark in known if mark["content"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError("its added_tokens are not as they should be", where=path) from error


def _words(text: str) -> Iterator[str]:
    """Split at spaces, and around punctuation and ideographs, which are words of their own."""
    word = ""
    for c in text:
        kind = unicodedata.category(c)
        is_space = c in " \t\n\r" or kind[0] == "Z"
        # A newer Unicode may have assigned what is unassigned (Cn) here: it is kept.
        if c == "\ufffd" or (kind[0] == "C" and kind != "Cn" and not is_space):
            continue
        alone = _is_punctuation(c, kind) or any(low <= ord(c) <= high for low, high in _CJK)
        if is_space or alone:
            if word:
                yield word
            word = ""
            if alone:
                yield c
        else:
            word += c
    if word:
        yield word


def _is_punctuation(c: str, kind: str) -> bool:
    return kind[0] == "P" or ("!" <= c <= "~" and not c.isalnum())


class TokenForm:
    """A text as a model's inputs: token numbers, their mask, and types of 0."""

    def __init__(
        self, specs: Sequence[TensorSpec], tokens: Any, most: Optional[int] = None
    ) -> None:
        """Keep inputs of known shapes and a tokeniser: `ids(text, most)` and `padding`.

        A text has at most `most` tokens, and never more than the input's length.

        Raises:
            UsageError: the model takes no tokens.
        """
        self._specs, self.length = specs, token_count(specs)
        self._tokens, self._most = tokens, min(self.length, most or self.length)

    def tokenise(self, text: str) -> "Dict[str, Array]":
        """Return the inputs for a text, cut or padded to the input's length."""
        import numpy as np

        ids = self._tokens.ids(text, self._most)
        feeds = {}
        for spec in self._specs:
            role = _role(spec.name)
            row = np.full((1, self.length), self._tokens.padding if role == "ids" else 0)
            if role != "types":
                row[0, : len(ids)] = ids if role == "ids" else 1
            feeds[spec.name] = row.astype(spec.dtype)
        return feeds


class TextForm(TokenForm):
    """The lines of a text file in turns."""

    def __init__(self, path: str, specs: Sequence[TensorSpec], form: Mapping[str, Any]) -> None:
        """Read the texts for inputs of known shapes; `form` {tokenizer: a tokenizer.json}.

        Raises:
            UsageError: there is no text, no vocabulary, or the model takes no tokens.
        """
        vocabulary: Optional[str] = form.get("tokenizer")
        if vocabulary is None:
            what = "nothing says how the model's texts become tokens"
            raise UsageError(what, where=path, hint="give an .npz of tokens, an array each input")
        token_count(specs)
        super().__init__(specs, WordPiece(vocabulary))
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except (OSError, ValueError) as error:
            raise UsageError("not a text file in UTF-8", where=path) from error
        self.texts = [line for line in lines if line][:_MOST_LINES]
        if not self.texts:
            raise UsageError("there is no text in it", where=path)


def token_count(specs: Sequence[TensorSpec]) -> int:
    """Return the length of inputs that take the tokens of one text.

    Raises:
        UsageError: they do not.
    """
    shapes = {spec.shape for spec in specs}
    shape = next(iter(shapes)) if len(shapes) == 1 else None
    roles = sorted(_role(spec.name) for spec in specs)
    whole = all(spec.dtype in ("int32", "int64") for spec in specs)
    length = shape[1] if shape is not None and len(shape) == 2 and shape[0] == 1 else None
    if not whole or not isinstance(length, int) or length < 2 or roles.count("ids") != 1:
        names = printable(", ".join(str(spec) for spec in specs))
        what = "the inputs {} take no tokens of one text".format(names)
        raise UsageError(what, hint="needed: whole numbers, 1,LENGTH; use an .npz")
    return length


def _role(name: str) -> str:
    lower = name.lower()
    return "mask" if "mask" in lower else "types" if "type" in lower or "seg" in lower else "ids"
