import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from stdsearch.encoder import recurrent
from stdsearch.encoder.recurrent import BiLSTM, last_states
from stdsearch.encoder.segment import real

LENGTHS = torch.tensor([7, 1, 4])


@pytest.fixture
def layers() -> BiLSTM:
    torch.manual_seed(0)
    return BiLSTM(3, 5, 2, dropout=0.5)


def plain(layers: BiLSTM) -> nn.LSTM:
    """torch's own, of the same weights."""
    other = nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for number, layer in enumerate(layers.layers):
            for name, weight in layer.named_parameters():
                target = getattr(other, name.replace("l0", f"l{number}"))
                target.copy_(weight[:, :-1] if "weight_ih" in name else weight)
    return other


def test_equals_packed_sequences(layers: BiLSTM) -> None:
    x = torch.randn(3, 7, 3)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    out, (state, _) = plain(layers)(packed)
    wanted, _ = pad_packed_sequence(out, batch_first=True)
    found = layers.eval()(x, real(LENGTHS, 7))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last_states(found, LENGTHS), torch.cat([state[-2], state[-1]], dim=1))


def test_gradients_equal_those_of_packed_sequences(layers: BiLSTM) -> None:
    x = torch.randn(3, 7, 3)
    other = plain(layers)
    out, _ = pad_packed_sequence(
        other(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))[0], batch_first=True
    )
    out.square().sum().backward()
    layers.eval()(x, real(LENGTHS, 7)).square().sum().backward()
    for number, layer in enumerate(layers.layers):
        for name, weight in layer.named_parameters():
            wanted = getattr(other, name.replace("l0", f"l{number}")).grad
            found = weight.grad[:, :-1] if "weight_ih" in name else weight.grad
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_what_shuts_the_gate_is_not_trained(layers: BiLSTM, half: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        layers(torch.randn(3, 7, 3), real(LENGTHS, 7)).float().square().sum().backward()
    for name, weight in layers.named_parameters():
        if "weight_ih" in name:
            assert weight.grad is not None
            assert not weight.grad[:, -1].any()
            assert weight.grad[:, :-1].any()


def test_without_lstms_in_bfloat16_they_are_in_float32(layers: BiLSTM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent, "_has_bf16", lambda: False)
    x = torch.randn(3, 7, 3)
    wanted = layers.eval()(x, real(LENGTHS, 7))
    with torch.autocast("cpu", torch.bfloat16):
        found = layers(x, real(LENGTHS, 7))
    torch.testing.assert_close(found, wanted, atol=0, rtol=0)
