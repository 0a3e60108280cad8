import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stdsearch.encoder import ECAPAEncoder, ECAPASettings
from stdsearch.encoder.ecapa import ECAPATDNN, Convolution, Layout, StatisticsPooling
from stdsearch.encoder.segment import centre, real
from stdsearch.features import MelSettings

TINY = ECAPASettings(mel=MelSettings(n_mels=6), channels=8, scale=4, squeeze=5, dim=4)


def warm(network: ECAPATDNN) -> ECAPATDNN:
    """In eval mode, with statistics and scales of BatchNorm that change something."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for values in (module.running_mean, module.weight.data, module.bias.data):
                torch.nn.init.normal_(values)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.fixture
def network() -> ECAPATDNN:
    torch.manual_seed(0)
    return warm(ECAPATDNN(TINY))


def test_it_has_the_size_of_the_paper() -> None:
    n_parameters = sum(parameter.numel() for parameter in ECAPAEncoder().sound.parameters())
    assert round(n_parameters / 1e6, 1) == 1.8


def convolve(layer: Convolution, x: Tensor, dilation: int = 1) -> Tensor:
    """A layer by torch's convolution, (channels, T) of one row."""
    kernel = len(layer.offsets)
    weight = layer.linear.weight.unflatten(1, (kernel, -1)).transpose(1, 2)
    padding = dilation * (kernel // 2)
    y = F.relu(F.conv1d(x[None], weight, layer.linear.bias, dilation=dilation, padding=padding))
    return layer.norm(y)[0]


def test_equals_the_network_of_the_paper(network: ECAPATDNN) -> None:
    """Desplanques et al., figures 1 and 2, on one segment (channels, T)."""
    mel = torch.randn(30, 6)
    x = convolve(network.enter, centre(mel[None], torch.ones(1, 30, dtype=torch.bool))[0].T)
    outputs = []
    for block, dilation in zip(network.blocks, (2, 3, 4), strict=True):
        parts = convolve(block.enter, x).chunk(4)
        y = [parts[0], convolve(block.groups[0], parts[1], dilation)]
        y.append(convolve(block.groups[1], parts[2] + y[1], dilation))
        y.append(convolve(block.groups[2], parts[3] + y[2], dilation))
        z = convolve(block.leave, torch.cat(y))
        outputs.append(x + z * block.excite(z.mean(dim=1))[:, None])
        x = x + outputs[-1]
    h = network.out(F.relu(network.aggregate(torch.cat(outputs).T)))
    frames, embedding = network(mel[None], torch.tensor([30]))
    torch.testing.assert_close(frames[0], h, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embedding[0], torch.from_numpy(pool_plainly(network.pool, h)), atol=1e-4, rtol=1e-3)


def pool_plainly(pool: StatisticsPooling, h: Tensor) -> np.ndarray:
    """CCSP of one row (T, d), frame by frame and channel by channel, its first FC in one piece."""
    x = h.detach().double().numpy()
    n_frames, d = x.shape
    w = {name: value.detach().double().numpy() for name, value in pool.state_dict().items()}
    first = np.concatenate([w["attend_frame.weight"], w["attend_context.weight"]], axis=1)
    context = [*x.mean(axis=0), *x.std(axis=0)]
    logit = np.empty((n_frames, d))
    for t in range(n_frames):
        squeezed = np.tanh(first @ np.array([*x[t], *context]) + w["attend_frame.bias"])
        logit[t] = w["weigh.weight"] @ squeezed + w["weigh.bias"]
    pooled = np.empty(2 * d)
    for c in range(d):
        weight = np.exp(logit[:, c]) / np.exp(logit[:, c]).sum()
        pooled[c] = (weight * x[:, c]).sum()
        pooled[d + c] = np.sqrt((weight * x[:, c] ** 2).sum() - pooled[c] ** 2)
    scale = np.sqrt(w["norm.running_var"] + pool.norm.eps)
    normal = (pooled - w["norm.running_mean"]) / scale * w["norm.weight"] + w["norm.bias"]
    embedding: np.ndarray = (w["out.weight"] @ normal + w["out.bias"]).astype(np.float32)
    return embedding


def test_batch_statistics_are_of_real_frames_only(network: ECAPATDNN) -> None:
    """In training, too, nothing that lies beyond the ends has a say."""
    lengths = torch.tensor([9, 3, 12])
    mel = torch.randn(3, 12, 6)
    other = torch.where(real(lengths, 12).unsqueeze(-1), mel, 99 * torch.ones_like(mel))
    network.train()
    wanted = network(mel, lengths)
    longer = network(F.pad(other, (0, 0, 0, 8), value=7.0), lengths)
    torch.testing.assert_close(longer[0][:, :12], wanted[0])
    torch.testing.assert_close(longer[1], wanted[1])


def test_layer_normalises_over_the_frames_of_all_rows() -> None:
    layout = Layout(torch.tensor([2, 5]), 6)
    layer = Convolution(3, 4, 3)
    y = layer(torch.randn(7, 3), layout)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)


def test_layout_shifts_within_rows() -> None:
    layout = Layout(torch.tensor([2, 1, 3]), 4)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[:, None]
    assert layout.shifted(x, 1).flatten().tolist() == [2, 0, 0, 5, 6, 0]
    assert layout.shifted(x, -2).flatten().tolist() == [0, 0, 0, 0, 0, 4]
    assert layout.shifted(x, 9).flatten().tolist() == [0] * 6
    assert layout.mean(x).flatten().tolist() == [1.5, 3, 5]
    assert layout.padded(x).flatten(1).tolist() == [[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 0]]


def test_a_row_of_one_frame_is_pooled() -> None:
    pool = StatisticsPooling(4, 3, 5).eval()
    x = torch.randn(1, 1, 4, requires_grad=True)
    pool(x, torch.ones(1, 1, dtype=torch.bool)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
