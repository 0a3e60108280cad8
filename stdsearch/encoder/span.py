"""The span encoder: one pass over a recording, then any span for a few subtractions.

A time-delay network turns log-mel into frames of 40 ms; heads read from every frame, for each of its two stretches of
20 ms, which phone is said and whether a word begins or ends there; span pooling and a small network give the embedding
of any span. A convolutional network over phones, pooled by the same rule, embeds a pronunciation into the same space.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stdsearch import kernels
from stdsearch.encoder.base import Encoder
from stdsearch.encoder.interface import Frames, unit_rows
from stdsearch.encoder.pooling import pool_spans
from stdsearch.encoder.settings import MAX_PHONES, ROWS_PER_FRAME, STRIDE, VARIANCE_FLOOR, EncoderSettings
from stdsearch.features import LOG_FLOOR, MEL_SCALE
from stdsearch.phones import SYMBOLS

STACK = 8  # mel frames (10 ms) that one network frame reads
ATTENTION_LIMIT = 5.0  # |attention logit| stays below, so that prefix sums keep their precision
EQUAL_ROWS = 256  # a multiple is multiplied: for each new number of rows, bfloat16 takes torch half a millisecond more
REACH = 75  # frames, 3 s, to either side, over which log-mel is averaged: an answer in an interview is as long
PRIOR = 5  # frames, .2 s
PAUSE = 6.0  # nats, 26 dB, below loud speech nearby: so weak is none that tells a voice
SILENCE = 10.0  # nats, 43 dB, below the loudest speech: so weak is no other voice
LOUDEST = 10  # frames, .4 s: a word is as loud for so long, a door is not
FAST_BF16 = ("amx_bf16", "avx512_bf16")  # what a CPU has that multiplies in bfloat16 about twice as fast


class ContextBlock(nn.Module):
    """Residual block over frames t - dilation, t, t + dilation: concatenate → Linear → LayerNorm → ReLU.

    Dropout drops a channel for a whole sequence: cheaper than one draw for each element, and as good.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.linear = nn.Linear(3 * channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, channels), mask (B, T, 1) zero beyond the end of a sequence -> (B, T, channels)."""
        d = self.dilation
        padded = F.pad(x, (0, 0, d, d))
        length = x.shape[1]
        context = torch.cat([padded[:, :length], x, padded[:, 2 * d : 2 * d + length]], dim=-1)
        kept = self.dropout(x.new_ones(len(x), 1, x.shape[2])) * mask if self.training else mask
        return x + F.relu(self.norm(self.linear(context))) * kept


class TextEncoder(nn.Module):
    """Embedding of a phone sequence: convolutions over phones that know their place from both ends."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        c = settings.text_channels
        self.parts = settings.parts
        self.phone = nn.Embedding(len(SYMBOLS), c)
        self.from_start = nn.Embedding(MAX_PHONES, c)
        self.from_end = nn.Embedding(MAX_PHONES, c)
        self.blocks = nn.ModuleList(ContextBlock(c, 1, settings.dropout) for _ in range(settings.text_blocks))
        self.norm = nn.LayerNorm(c)
        self.head = SpanHead(c, settings)

    def forward(self, phones: Tensor, lengths: Tensor) -> Tensor:
        """Phones (n, L) indices into SYMBOLS, zero beyond lengths (n,) -> (n, dim), L2-normalised."""
        place = torch.arange(phones.shape[1], device=phones.device)
        mask = (place < lengths[:, None]).unsqueeze(-1)
        last = MAX_PHONES - 1
        x = self.phone(phones) + self.from_start(place.clamp_max(last))
        x = (x + self.from_end((lengths[:, None] - 1 - place).clamp(0, last))) * mask
        for block in self.blocks:
            x = block(x, mask.to(x.dtype))
        x = self.norm(x)
        row = torch.arange(len(phones), device=phones.device)
        zeros = torch.zeros(len(phones), device=phones.device)
        pooled = pool_spans(x, x.new_zeros(x.shape[:2]), row, zeros, lengths.float(), self.parts)
        embedding: Tensor = self.head(pooled)
        return embedding


class SpanHead(nn.Module):
    """From a pooled span to its embedding."""

    def __init__(self, channels: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear((settings.parts + 1) * channels, settings.head),
            nn.LayerNorm(settings.head),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.head, settings.dim),
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, (parts + 1) * channels) -> (n, dim), L2-normalised."""
        return F.normalize(self.layers(pooled).float(), dim=-1)


def is_fast_in_bf16() -> bool:
    """Whether the CPU multiplies in bfloat16 faster than in float32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in FAST_BF16)


def _fast_numbers() -> torch.autocast:
    """Inference in bfloat16 where the CPU is made for it: embeddings then differ by some 0.001."""
    return torch.autocast("cpu", torch.bfloat16, enabled=is_fast_in_bf16())


def normalise_mel(mel: Tensor, mask: Tensor) -> Tensor:
    """Log-mel (B, T, n_mels), T a multiple of STRIDE, less a moving mean, scaled; zero where mask (B, T) is.

    The mean is that of the louder half of the speech within REACH, for each STRIDE of frames: it tells the microphone
    and the voice, not how long the pauses are nor how loud another voice is. Speech is what is no more than PAUSE below
    the loudest within REACH, of which LOUDEST do not count, for they may be no speech, and than SILENCE below the
    loudest of all. PRIOR of the mean is that of the loudest voice; where there is no speech it is the mean.
    """
    weight = mask.unflatten(1, (-1, STRIDE)).to(mel.dtype)
    there = weight.sum(dim=2)
    rows = (mel.unflatten(1, (-1, STRIDE)) * weight.unsqueeze(-1)).sum(dim=2) / there.clamp_min(1).unsqueeze(-1)
    loudness = rows.mean(dim=-1).masked_fill(there == 0, LOG_FLOOR)
    near = F.pad(loudness, (REACH, REACH), value=LOG_FLOOR).unfold(1, 2 * REACH + 1, 1)
    loud, loudest = (x.topk(min(LOUDEST, x.shape[-1]), dim=-1).values[..., -1] for x in (near, loudness))
    speech = (there > 0) & (loudness >= torch.maximum(loud - PAUSE, loudest[:, None] - SILENCE))
    middle = _nearby(loudness * speech) / _nearby(speech.to(mel.dtype)).clamp_min(1)
    louder = (speech & (loudness >= middle)).to(mel.dtype).unsqueeze(-1)
    loudest_half = louder * (loudness >= loudest[:, None] - PAUSE).unsqueeze(-1)
    of_all = (rows * loudest_half).sum(dim=1, keepdim=True) / loudest_half.sum(dim=1, keepdim=True)
    mean = (_nearby(rows * louder) + PRIOR * of_all) / (_nearby(louder) + PRIOR)
    return (mel - mean.repeat_interleave(STRIDE, dim=1)) * MEL_SCALE * mask.unsqueeze(-1)


def _nearby(rows: Tensor) -> Tensor:
    """Of each of the rows (B, T, ...) the sum of those within REACH."""
    until = torch.cat([torch.zeros_like(rows[:, :1]), rows.cumsum(dim=1)], dim=1)
    place = torch.arange(rows.shape[1], device=rows.device)
    return until[:, (place + REACH + 1).clamp_max(rows.shape[1])] - until[:, (place - REACH).clamp_min(0)]


class SpanEncoder(Encoder):
    """The encoder that ships; training calls `encode`, `pool` and `text`."""

    kind = "span"
    rows_per_frame = ROWS_PER_FRAME
    settings: EncoderSettings

    def __init__(self, settings: EncoderSettings | None = None) -> None:
        super().__init__(settings or EncoderSettings())
        s = self.settings
        self.stem = nn.Linear(STACK * s.mel.n_mels, s.channels)
        self.stem_norm = nn.LayerNorm(s.channels)
        self.blocks = nn.ModuleList(ContextBlock(s.channels, d, s.dropout) for d in s.dilations)
        self.out = nn.Linear(s.channels, s.hidden)
        self.out_norm = nn.LayerNorm(s.hidden)
        self.attention = nn.Linear(s.hidden, 1)
        self.phone_head = nn.Linear(s.hidden, self.rows_per_frame * len(SYMBOLS))
        self.edge_head = nn.Linear(s.hidden, self.rows_per_frame)
        self.span_head = SpanHead(s.hidden, s)
        self.text = TextEncoder(s)
        self.register_buffer("log_prior", torch.full((len(SYMBOLS),), -math.log(len(SYMBOLS))))

    def encode(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frame vectors (B, T, hidden) and attention logits (B, T) of log-mel (B, 4 T, n_mels).

        lengths: (B,) in mel frames, beyond which a row is padding.
        """
        n_mel = mel.shape[1] - mel.shape[1] % STRIDE
        mel = mel[:, :n_mel]
        mask = torch.arange(n_mel, device=mel.device) < lengths[:, None]
        x = normalise_mel(mel, mask)
        margin = (STACK - STRIDE) // 2
        x = F.pad(x, (0, 0, margin, STACK - STRIDE - margin)).unfold(1, STACK, STRIDE)  # (B, T, n_mels, STACK)
        x = F.relu(self.stem_norm(self.stem(x.flatten(2).to(self.stem.weight.dtype))))
        frame_mask = mask[:, ::STRIDE].unsqueeze(-1).to(x.dtype)
        x = x * frame_mask
        for block in self.blocks:
            x = block(x, frame_mask)
        hidden = self.out_norm(self.out(x))
        logit = ATTENTION_LIMIT * torch.tanh(self.attention(hidden).squeeze(-1).float() / ATTENTION_LIMIT)
        return hidden, logit

    def pool(self, hidden: Tensor, logit: Tensor, row: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        """Embeddings (n, dim) of spans; arguments as in `pool_spans`."""
        embedding: Tensor = self.span_head(pool_spans(hidden, logit, row, begin, end, self.settings.parts))
        return embedding

    def phone_logits(self, hidden: Tensor) -> Tensor:
        """Phone logits (B, 2 T, len(SYMBOLS)) of frame vectors (B, T, hidden): two of 20 ms from each frame."""
        logits: Tensor = self.phone_head(hidden)
        return logits.reshape(*hidden.shape[:-2], self.rows_per_frame * hidden.shape[-2], len(SYMBOLS))

    def edge_logits(self, hidden: Tensor) -> Tensor:
        """Log odds (B, 2 T) that a word begins or ends in or beside each 20 ms of frame vectors (B, T, hidden)."""
        logits: Tensor = self.edge_head(hidden)
        return logits.flatten(-2)

    @torch.inference_mode()
    def frames(self, waveform: np.ndarray) -> Frames:
        """Frames of a stretch (n,) of one channel, float32 at 16 kHz; at least one frame."""
        mel = self.log_mel(torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)))
        short = -len(mel) % STRIDE
        mel = F.pad(mel, (0, 0, 0, short)).unsqueeze(0)
        with _fast_numbers():
            hidden, logit = self.encode(mel, torch.tensor([mel.shape[1] - short]))
        packed = torch.cat([hidden[0].float(), logit[0, :, None]], dim=-1)
        return Frames(packed.numpy(), self.settings.frame_seconds)

    @torch.inference_mode()
    def embed_spans(self, frames: Frames, tbeg: np.ndarray, tend: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) float32 of spans, in seconds from the start of the frames; clipped to them."""
        length = len(frames.hidden)
        begin = np.clip(np.asarray(tbeg) / frames.frame_seconds, 0, length - 0.5)
        end = np.maximum(np.minimum(np.asarray(tend) / frames.frame_seconds, length), begin + 0.5)
        pooled = kernels.pool_spans(frames.hidden, begin, end, self.settings.parts, variance_floor=VARIANCE_FLOOR)
        with _fast_numbers():
            embedding: Tensor = self.span_head(torch.from_numpy(pooled))
        return embedding.numpy()

    def _embed_text(self, phones: Tensor, lengths: Tensor) -> Tensor:
        embedding: Tensor = self.text(phones, lengths)
        return embedding

    @torch.inference_mode()
    def phone_log_posteriors(self, frames: Frames) -> np.ndarray:
        """Log posteriors (2 T, len(SYMBOLS)) float32 of the phones, one row for each 20 ms."""
        hidden = torch.from_numpy(frames.hidden[:, :-1])
        if is_fast_in_bf16():
            hidden = F.pad(hidden.bfloat16(), (0, 0, 0, -len(hidden) % EQUAL_ROWS))
        with _fast_numbers():
            logits = self.phone_logits(hidden)
        return logits[: self.rows_per_frame * len(frames.hidden)].float().log_softmax(dim=-1).numpy()

    @torch.inference_mode()
    def edge_log_odds(self, frames: Frames) -> np.ndarray:
        """Log odds (2 T,) float32 that a word begins or ends in or beside each 20 ms."""
        log_odds: np.ndarray = self.edge_logits(torch.from_numpy(frames.hidden[:, :-1])).numpy()
        return log_odds

    @torch.inference_mode()
    def match_vectors(self, frames: Frames) -> np.ndarray:
        """Rows (T, hidden + 2 len(SYMBOLS)): half the frame vector's direction, half the roots of its two posteriors.

        A cosine of two is the mean of that of the frame vectors and the Bhattacharyya coefficient of the phones.
        """
        vectors = unit_rows(frames.hidden[:, :-1])
        posteriors = self.phone_logits(torch.from_numpy(frames.hidden[:, :-1])).softmax(dim=-1)
        roots = posteriors.sqrt().numpy().reshape(len(vectors), -1)
        return np.concatenate([vectors * np.float32(0.5**0.5), roots * np.float32(0.5)], axis=1)
