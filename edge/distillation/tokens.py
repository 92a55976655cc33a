"""Students for token numbers: a bag of words, and a small encoder. PyTorch is imported here."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import torch

# A word seen once teaches its row of the table nothing that another text could use.
_LEAST_SEEN: Final = 2
_MOST_PLACES: Final = 2048
_UNSEEN: Final = 0


def vocabulary(ids: "np.ndarray[Any, Any]", mask: "np.ndarray[Any, Any] | None") -> "list[int]":
    """Return the row of the student's table for each token number; 0 is for words hardly seen.

    The last entry, one above the largest number seen, stands for all that are larger still.
    """
    seen = np.asarray(ids if mask is None else ids[np.asarray(mask) > 0]).ravel()
    counts = np.bincount(np.maximum(seen, 0).astype(np.int64), minlength=1)
    known = counts >= _LEAST_SEEN
    rows = np.where(known, np.cumsum(known), _UNSEEN)
    return [*(int(row) for row in rows), _UNSEEN]


def bag(table: "list[int]", width: int, features: int) -> "tuple[torch.nn.Module, torch.nn.Module]":
    """Return the mean of the words' vectors and a layer on it, and the last layer."""
    import torch

    class Bag(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """What a text's words say together, in no order."""

        def __init__(self) -> None:
            super().__init__()
            self.words = _words(table, width)
            # The part of the text that is of the second kind of token.
            self.kinds = torch.nn.Parameter(torch.zeros(width))
            self.inner = torch.nn.Linear(width, width)

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, kinds: "torch.Tensor | None"
        ) -> torch.Tensor:
            x = _mean(self.words(ids), mask)
            if kinds is not None:
                x = x + _mean(kinds.to(x.dtype).unsqueeze(-1), mask) * self.kinds
            return x + torch.relu(self.inner(x))

    return Bag(), torch.nn.Linear(width, features)


def transformer(
    table: "list[int]", layers: int, width: int, heads: int, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    """Return an encoder whose tokens' mean is the text, and the last layer."""
    import torch

    class Block(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """Attention and a layer of four times the width, each normalised before it (pre-LN)."""

        def __init__(self) -> None:
            super().__init__()
            self.before_attention = torch.nn.LayerNorm(width)
            self.mixed = torch.nn.Linear(width, 3 * width)
            self.joined = torch.nn.Linear(width, width)
            self.before_inner = torch.nn.LayerNorm(width)
            self.inner = torch.nn.Linear(width, 4 * width)
            self.outer = torch.nn.Linear(4 * width, width)
            self.dropped = torch.nn.Dropout(0.1)

        def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
            parts = self.mixed(self.before_attention(x)).chunk(3, dim=-1)
            query, key, value = (
                part.unflatten(-1, (heads, width // heads)).transpose(1, 2) for part in parts
            )
            scores = query @ key.transpose(-1, -2) / math.sqrt(width // heads) + bias
            attended = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
            x = x + self.dropped(self.joined(attended))
            inner = torch.nn.functional.gelu(self.inner(self.before_inner(x)))
            return x + self.dropped(self.outer(inner))

    class Encoder(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """Words and their places, blocks, the mean of what is not masked."""

        def __init__(self) -> None:
            super().__init__()
            self.words = _words(table, width)
            self.kinds = torch.nn.Parameter(torch.zeros(width))
            self.register_buffer("places", _places(width))
            self.blocks = torch.nn.ModuleList(Block() for _ in range(layers))
            self.last = torch.nn.LayerNorm(width)

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, kinds: "torch.Tensor | None"
        ) -> torch.Tensor:
            # A text longer than the table ends in the same place over and over.
            places = torch.arange(ids.shape[1], device=ids.device).clamp(max=_MOST_PLACES - 1)
            x = self.words(ids) + self.places[places].unsqueeze(0)
            if kinds is not None:
                x = x + kinds.to(x.dtype).unsqueeze(-1) * self.kinds
            bias = (1.0 - mask)[:, None, None, :] * -10000.0
            for block in self.blocks:
                x = block(x, bias)
            return _mean(self.last(x), mask)

    return Encoder(), torch.nn.Linear(width, features)


def _words(table: "list[int]", width: int) -> "torch.nn.Module":
    import torch

    class Words(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """The vectors of the words that the data has; any other number takes the unseen word's."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rows", torch.tensor(table, dtype=torch.int32))
            self.vectors = torch.nn.Embedding(max(table) + 1, width)
            torch.nn.init.normal_(self.vectors.weight, std=1 / math.sqrt(width))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            rows = self.rows[ids.to(torch.int64).clamp(0, len(table) - 1)]
            if self.training:
                # The unseen word learns to stand for some of the words that were seen.
                rows = rows.masked_fill(torch.rand(rows.shape) < 0.1, _UNSEEN)
            found: torch.Tensor = self.vectors(rows)
            return found

    return Words()


def _mean(x: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    kept = mask.unsqueeze(-1)
    return (x * kept).sum(1) / kept.sum(1).clamp(min=1.0)


def _places(width: int) -> "torch.Tensor":
    """Return sines and cosines of the places (arXiv 1706.03762, section 3.5), an even width."""
    import torch

    steps = torch.arange(_MOST_PLACES, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    waves = torch.stack([torch.sin(steps * rates), torch.cos(steps * rates)], dim=2).flatten(1)
    # As large as the words' vectors.
    return waves * (math.sqrt(2 / width))
