"""The verifier of PLCL (arXiv 2412.20805): whether a stretch of speech is the enrolled term.

A term is enrolled by its phones, by a spoken example, or by both. Audio and text are projected into one space, where
the cosines between what is enrolled and what is heard form a matrix; attention over its rows and a GRU read off
whether they run through it from corner to corner.

What the paper leaves open, or what is done otherwise:

- The audio encoder is not Whisper but a span encoder, frozen, whose frame vectors (40 ms) archives hold already; the
  projection gives two vectors of 20 ms for each, as the encoder's phone head does, so that short phones stand apart.
- Text is phones, from `stdsearch.pronounce`, so its encoder is an embedding and one block of context.
- Similarity matrices have as many columns as the query has steps. Rows are resampled to a fixed number of
  `positions` (means of equal parts), which makes a row a vector; how long things last, which this hides, and where
  the row lies are added to it. The rows are the sequence: the phones, or parts of the example.
- Context-agnostic phonemes of the memory bank are "added to this matrix" as a second plane: for each phone of the term
  the cosines of the bank's vector of that phone, beside those of its text vector.
- Each row keeps itself beside what attention brings (residual, LayerNorm); the audio branch ends in a GRU as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch.encoder import Frames
from stdsearch.encoder.span import ContextBlock
from stdsearch.phones import PHONE_INDEX, SYMBOLS

STEPS = 2  # projected vectors of a frame, 20 ms each
MARGIN = 0.08  # seconds heard on either side of a span that is verified: borders are off by some 50 ms
CATEGORIES = ("match", "easy mismatch", "hard mismatch")  # what the third-category discriminator tells apart
CHUNK = 128  # spans scored together, fewer where similarity matrices are large:
CELLS = 1 << 24  # of all matrices together, 64 MB


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """The shape of a verifier; saved with its weights."""

    width: int = 192  # of the encoder's frame vectors, without the attention logit
    dim: int = 128  # of the space that audio and text are projected into
    positions: int = 48  # that the query axis of a similarity matrix is resampled to
    hidden: int = 64  # of attention and GRU
    heads: int = 4
    dropout: float = 0.1
    memory_bank: bool = True  # whether text is compared by the bank's vectors too


def cut(frames: Frames, tbeg: float, tend: float, *, margin: float = MARGIN) -> np.ndarray:
    """The frame vectors (T, width) of a span and its margin, at least one; times in seconds from the frames' start."""
    first = max(0, round((tbeg - margin) / frames.frame_seconds))
    last = max(first + 1, round((tend + margin) / frames.frame_seconds))
    first = min(first, len(frames.hidden) - 1)
    return frames.hidden[first:last, :-1]


def interval_means(x: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Means (B, n, d) of x (B, T, d) over intervals [begin, end) (B, n), real numbers in steps; zeros for empty ones.

    A step that a border cuts counts by the share that lies inside.
    """
    place = torch.arange(x.shape[1], device=x.device)
    inside = torch.minimum(end[..., None], place + 1) - torch.maximum(begin[..., None], place)
    share = inside.clamp_min(0).to(x.dtype)
    return share @ x / share.sum(dim=-1, keepdim=True).clamp_min(1e-6)


class Projection(nn.Module):
    """LayerNorm → fully connected → tanh, L2-normalised: the paper's projection, tanh since cosines need both signs."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, dim)
        self.dim = dim

    def forward(self, x: Tensor, steps: int = 1) -> Tensor:
        """(B, T, width) -> (B, steps T, dim / steps)."""
        projected = torch.tanh(self.linear(self.norm(x)))
        return F.normalize(projected.reshape(len(x), -1, self.dim // steps).float(), dim=-1)


class Reading(nn.Module):
    """Attention over the rows of a similarity matrix and a GRU over what it gives: Eqs. 4 and 6."""

    def __init__(self, query_width: int, row_width: int, settings: VerifierSettings) -> None:
        super().__init__()
        h = settings.hidden
        self.query = nn.Linear(query_width, h)
        self.row = nn.Linear(row_width, h)
        self.attention = nn.MultiheadAttention(h, settings.heads, batch_first=True)
        self.norm = nn.LayerNorm(h)
        self.gru = nn.GRU(h, h, batch_first=True)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, query: Tensor, row: Tensor, lengths: Tensor) -> Tensor:
        """Queries (B, n, query_width), rows (B, n, row_width) that count up to lengths (B,) -> (B, hidden).

        Zeros where a length is zero: nothing is enrolled there.
        """
        last = (lengths - 1).clamp_min(0)
        beyond = torch.arange(row.shape[1], device=row.device) > last[:, None]
        asked, given = self.query(query), self.row(row)
        found, _ = self.attention(asked, given, given, key_padding_mask=beyond, need_weights=False)
        states, _ = self.gru(self.norm(asked + found))
        state = states[torch.arange(len(states), device=states.device), last]
        return self.dropout(state) * (lengths > 0).unsqueeze(1)


class Verifier(nn.Module):
    """Scores spans of an archive against an enrolled term; works on the frame vectors of one encoder alone.

    Training calls the projections, `match_text`, `match_audio` and the heads; the engine calls `score`.
    """

    bank: Tensor

    def __init__(self, settings: VerifierSettings | None = None, encoder_fingerprint: str = "") -> None:
        super().__init__()
        self.settings = settings or VerifierSettings()
        self.encoder_fingerprint = encoder_fingerprint
        self.metadata: dict[str, str] = {}  # what its file says of it: provenance, calibration
        s = self.settings
        self.audio = Projection(s.width, STEPS * s.dim)
        self.phone = nn.Embedding(len(SYMBOLS), s.dim)
        self.context = ContextBlock(s.dim, 1, s.dropout)
        self.text = Projection(s.dim, s.dim)
        row = (1 + s.memory_bank) * (s.positions + 1) + 2
        self.text_reading = Reading(row, row, s)
        self.audio_reading = Reading(3, s.positions + 1, s)
        self.text_head = nn.Linear(s.hidden, 1)
        self.category_head = nn.Linear(s.hidden, len(CATEGORIES))
        self.audio_head = nn.Linear(s.hidden, 1)
        self.joint_head = nn.Linear(2 * s.hidden, 1)
        # the phoneme memory bank: of each symbol the mean projected vector, whatever its context; zero if never heard
        self.register_buffer("bank", torch.zeros(len(SYMBOLS), s.dim))

    def project_audio(self, frames: Tensor) -> Tensor:
        """Frame vectors (B, T, width) -> (B, 2 T, dim), two of 20 ms from each, L2-normalised."""
        projected: Tensor = self.audio(frames, STEPS)
        return projected

    def project_text(self, phones: Tensor, lengths: Tensor) -> Tensor:
        """Phones (B, L) indices into SYMBOLS, zero beyond lengths (B,) -> (B, L, dim), L2-normalised."""
        mask = (torch.arange(phones.shape[1], device=phones.device) < lengths[:, None]).unsqueeze(-1)
        embedded = self.phone(phones) * mask
        projected: Tensor = self.text(self.context(embedded, mask.to(embedded.dtype)))
        return projected

    def match_text(self, text: Tensor, phones: Tensor, lengths: Tensor, query: Tensor, n_steps: Tensor) -> Tensor:
        """Features (B, hidden) of a query (B, Q, dim) of n_steps (B,) beside phones (B, L) as `project_text` takes.

        text: (B, L, dim) their projections. Zeros where a length is zero.
        """
        planes = [text @ query.transpose(1, 2)]
        if self.settings.memory_bank:
            planes.append(F.normalize(self.bank, dim=-1)[phones] @ query.transpose(1, 2))
        places = (torch.arange(phones.shape[1], device=phones.device) + 0.5) / lengths.clamp_min(1)[:, None]
        pace = (n_steps / lengths.clamp_min(1)).log()[:, None].expand_as(places)
        parts = [part for plane in planes for part in (self._resampled(plane, n_steps), _highest(plane, n_steps))]
        rows = torch.cat([*parts, places[..., None], pace[..., None]], dim=-1)
        features: Tensor = self.text_reading(rows, rows, lengths)
        return features

    def match_audio(self, example: Tensor, example_steps: Tensor, query: Tensor, n_steps: Tensor) -> Tensor:
        """Features (B, hidden) of a query (B, Q, dim) of n_steps (B,) beside an example (B, E, dim) of its own steps.

        Zeros where the example has no step.
        """
        n = self.settings.positions
        similarity = example @ query.transpose(1, 2)  # M^aa
        highest = _highest(similarity, n_steps)  # M^qa
        rows = torch.cat([self._resampled(similarity, n_steps), highest], dim=-1)
        rows = interval_means(rows, *_equal_parts(example_steps, n))
        place = ((torch.arange(n, device=rows.device) + 0.5) / n).expand(len(rows), n)
        stretch = (n_steps / example_steps.clamp_min(1)).log()[:, None].expand_as(place)
        asked = torch.stack([rows[..., -1], place, stretch], dim=-1)
        keyed = torch.cat([rows[..., :-1], place[..., None]], dim=-1)
        features: Tensor = self.audio_reading(asked, keyed, n * (example_steps > 0))
        return features

    def log_odds(self, of_text: Tensor, of_audio: Tensor, has_text: Tensor, has_audio: Tensor) -> Tensor:
        """Log odds (B,) from the features of both branches, by the head for what is enrolled (B,) bool."""
        joint = self.joint_head(torch.cat([of_text, of_audio], dim=-1))
        alone = torch.where(has_text[:, None], self.text_head(of_text), self.audio_head(of_audio))
        return torch.where((has_text & has_audio)[:, None], joint, alone).squeeze(-1)

    def _resampled(self, similarity: Tensor, n_steps: Tensor) -> Tensor:
        """(B, n, Q) of which n_steps (B,) columns count -> (B, n, positions)."""
        parts = _equal_parts(n_steps, self.settings.positions)
        return interval_means(similarity.transpose(1, 2), *parts).transpose(1, 2)

    @torch.inference_mode()
    def score(
        self, spans: Sequence[np.ndarray], *, phones: Sequence[str] = (), example: np.ndarray | None = None
    ) -> np.ndarray:
        """Log odds (n,) float32 that each span is the term enrolled by its phones, by an example, or by both.

        spans: frame vectors (T_i, width) each, as `cut` gives them; example: (U, width), without margin.
        """
        if not phones and example is None:
            raise ValueError("nothing is enrolled: give phones, an example, or both")
        if not len(spans):
            return np.empty(0, np.float32)
        order = sorted(range(len(spans)), key=lambda i: len(spans[i]))
        rows = max(len(phones), 0 if example is None else STEPS * len(example))
        chunk = max(1, min(CHUNK, CELLS // (rows * STEPS * len(spans[order[-1]]))))
        odds = np.empty(len(spans), np.float32)
        for first in range(0, len(order), chunk):
            chosen = order[first : first + chunk]
            odds[chosen] = self._score([spans[i] for i in chosen], phones, example)
        return odds

    def _score(self, spans: Sequence[np.ndarray], phones: Sequence[str], example: np.ndarray | None) -> np.ndarray:
        n = len(spans)
        n_steps = torch.tensor([STEPS * len(span) for span in spans])
        padded = torch.zeros(n, max(map(len, spans)), self.settings.width)
        for row, span in zip(padded, spans, strict=True):
            row[: len(span)] = torch.from_numpy(np.ascontiguousarray(span, np.float32))
        query = self.project_audio(padded)
        of_text = of_audio = torch.zeros(n, self.settings.hidden)
        if phones:
            indices, length = torch.tensor([[PHONE_INDEX[phone] for phone in phones]]), torch.tensor([len(phones)])
            text = self.project_text(indices, length)
            shape = (n, len(phones))
            of_text = self.match_text(text.expand(n, -1, -1), indices.expand(shape), length.expand(n), query, n_steps)
        if example is not None:
            heard = self.project_audio(torch.from_numpy(np.ascontiguousarray(example, np.float32))[None])
            steps = torch.tensor([heard.shape[1]]).expand(n)
            of_audio = self.match_audio(heard.expand(n, -1, -1), steps, query, n_steps)
        has_text, has_audio = torch.tensor([bool(phones)]), torch.tensor([example is not None])
        return self.log_odds(of_text, of_audio, has_text.expand(n), has_audio.expand(n)).numpy()


def _equal_parts(n_steps: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Where n equal parts of the steps (B,) begin and end, each (B, n)."""
    border = n_steps[:, None] * torch.linspace(0, 1, n + 1, device=n_steps.device)
    return border[:, :-1], border[:, 1:]


def _highest(similarity: Tensor, n_steps: Tensor) -> Tensor:
    """The greatest value (B, n, 1) of each row of (B, n, Q) among the first n_steps (B,) columns."""
    beyond = torch.arange(similarity.shape[2], device=similarity.device) >= n_steps[:, None, None]
    return similarity.masked_fill(beyond, -1.0).amax(dim=-1, keepdim=True)
