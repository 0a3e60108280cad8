"""Bidirectional LSTMs over padded rows, exact and fast.

Packed sequences are exact, but their backward pass takes more than twice as long on a CPU. Here an input column marks
padding, with a weight that closes the input gate there: a state that begins in padding stays zero through it,
so the backward direction begins at each row's real end, as if the padding were not there.
"""

import torch
from torch import Tensor, nn

GATE_SHUT = -1e4  # its sigmoid is 0 in every precision, and float16 can store it


class BiLSTM(nn.Module):
    """Layers of bidirectional LSTM with dropout between them.

    The column that marks padding has exact zero gradients: before a row's end it is 0, beyond, the gates that it moves
    meet a zero state or a shut gate.
    """

    def __init__(self, size: int, hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [size] + [2 * hidden] * (layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(n + 1, hidden, batch_first=True, bidirectional=True) for n in sizes)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if "weight_ih" in name:
                    weight[:, -1] = 0
                    weight[:hidden, -1] = GATE_SHUT  # torch has the input gate's rows first

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Rows (B, T, size), mask (B, T) True before the end of each -> (B, T, 2 hidden), zero beyond it."""
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not _has_bf16():
            with torch.autocast("cpu", enabled=False):
                return self.forward(x.float(), mask)
        padding = (~mask).unsqueeze(-1)
        for number, layer in enumerate(self.layers):
            x = self.dropout(x) if number else x
            x, _ = layer(torch.cat([x, padding.to(x.dtype)], dim=-1))
        return x * mask.unsqueeze(-1)


def _has_bf16() -> bool:
    """Whether oneDNN, which torch computes LSTMs by, can do so in bfloat16: not on a CPU without AVX512."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def last_states(x: Tensor, lengths: Tensor) -> Tensor:
    """The forward state at each row's end and the backward state at its start (B, 2 hidden), of BiLSTM's output."""
    forward, backward = x.chunk(2, dim=-1)
    row = torch.arange(len(x), device=x.device)
    return torch.cat([forward[row, lengths - 1], backward[:, 0]], dim=-1)
