from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stdsearch.encoder import Frames
from stdsearch.phones import SYMBOLS
from stdsearch.verifier import Verifier, VerifierSettings, cut, interval_means, network
from stdsearch.verifier.network import CHUNK, Projection

TINY = VerifierSettings(width=6, dim=4, positions=5, hidden=8, heads=2)
PHONES = ("S", "T", "AA", "R")


def make(settings: VerifierSettings = TINY) -> Verifier:
    torch.manual_seed(0)
    verifier = Verifier(settings, "abc").eval()
    verifier.bank.copy_(torch.randn(verifier.bank.shape))
    return verifier


@pytest.fixture
def verifier() -> Verifier:
    return make()


def spans(n: int, longest: int = 12) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.normal(size=(int(length), 6)).astype(np.float32) for length in random.integers(1, longest, n)]


def test_means_of_intervals_are_those_of_fine_sampling() -> None:
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    begin, end = torch.tensor([[0.0, 2.3], [6.0, 1.0]]), torch.tensor([[7.0, 4.6], [6.5, 1.0]])
    means = interval_means(x, begin, end)
    for b in range(2):
        for i in range(2):
            places = torch.linspace(float(begin[b, i]), float(end[b, i]), 200001)[:-1]
            inside = x[b, places.long()].mean(dim=0) if begin[b, i] < end[b, i] else torch.zeros(3)
            assert means[b, i].numpy() == pytest.approx(inside.numpy(), abs=1e-3)


def test_a_projected_frame_gives_two_steps() -> None:
    projection = Projection(6, 8)
    frames = torch.randn(3, 5, 6)
    steps = projection(frames, 2)
    assert steps.shape == (3, 10, 4)
    assert steps.norm(dim=-1).detach().numpy() == pytest.approx(1)
    plain = torch.tanh(projection.linear(projection.norm(frames[1, 2])))
    for half in range(2):
        expected = torch.nn.functional.normalize(plain[4 * half : 4 * half + 4], dim=0)
        assert steps[1, 4 + half].detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)


def inputs(seed: int = 0) -> dict[str, Tensor]:
    """Three rows of other lengths, whose padding is not zero."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([4, 2, 3])
    return {
        "query": torch.randn(3, 7, 6, generator=random),
        "query_length": torch.tensor([7, 3, 1]),
        "example": torch.randn(3, 6, 6, generator=random),
        "example_length": torch.tensor([2, 6, 4]),
        "phones": torch.randint(1, len(SYMBOLS), (3, 4), generator=random) * (torch.arange(4) < lengths[:, None]),
        "phone_length": lengths,
    }


def features(verifier: Verifier, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    query, n_steps = verifier.project_audio(given["query"]), 2 * given["query_length"]
    text = verifier.project_text(given["phones"], given["phone_length"])
    of_text = verifier.match_text(text, given["phones"], given["phone_length"], query, n_steps)
    example = verifier.project_audio(given["example"])
    return of_text, verifier.match_audio(example, 2 * given["example_length"], query, n_steps)


@pytest.mark.parametrize("memory_bank", [True, False])
def test_padding_changes_nothing(memory_bank: bool) -> None:
    verifier = make(replace(TINY, memory_bank=memory_bank))
    given = inputs()
    together = features(verifier, given)
    for row in range(3):
        alone = {name: value[row : row + 1] for name, value in given.items()}
        for name in ("query", "example", "phone"):
            length = int(alone[f"{name}_length"])
            whole = "phones" if name == "phone" else name
            alone[whole] = alone[whole][:, :length]
        for one, of_all in zip(features(verifier, alone), together, strict=True):
            assert one[0].detach().numpy() == pytest.approx(of_all[row].detach().numpy(), abs=1e-5)


def test_what_is_not_enrolled_gives_no_features_and_its_content_does_not_matter(verifier: Verifier) -> None:
    given = inputs()
    nothing = {**given, "phone_length": torch.zeros(3, dtype=torch.long), "example_length": torch.tensor([0, 6, 0])}
    of_text, of_audio = features(verifier, nothing)
    assert not of_text.any()
    assert of_audio.any(dim=1).tolist() == [False, True, False]
    assert torch.isfinite(of_audio).all()


def test_each_enrolment_has_its_head(verifier: Verifier) -> None:
    of_text, of_audio = features(verifier, inputs())
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    joint = verifier.joint_head(torch.cat([of_text, of_audio], dim=1))[:, 0]
    text, audio = verifier.text_head(of_text)[:, 0], verifier.audio_head(of_audio)[:, 0]
    assert torch.equal(verifier.log_odds(of_text, of_audio, yes, no), text)
    assert torch.equal(verifier.log_odds(of_text, of_audio, no, yes), audio)
    assert torch.equal(verifier.log_odds(of_text, of_audio, yes, yes), joint)
    mixed = verifier.log_odds(of_text, of_audio, torch.tensor([True, False, True]), torch.tensor([True, True, False]))
    assert mixed.tolist() == [joint[0], audio[1], text[2]]


@pytest.mark.parametrize("phones", [(), PHONES])
@pytest.mark.parametrize("spoken", [False, True])
def test_scores_of_many_spans_are_those_of_each_alone(
    verifier: Verifier, phones: tuple[str, ...], spoken: bool
) -> None:
    example = spans(1)[0] if spoken else None
    many = spans(CHUNK + 20)
    if not phones and not spoken:
        with pytest.raises(ValueError, match="nothing is enrolled"):
            verifier.score(many)
        return
    together = verifier.score(many, phones=phones, example=example)
    assert together.shape == (CHUNK + 20,)
    assert together.dtype == np.float32
    for i in (0, 7, CHUNK + 19):
        assert verifier.score(many[i : i + 1], phones=phones, example=example)[0] == pytest.approx(
            together[i], abs=1e-5
        )
    assert verifier.score([], phones=PHONES).shape == (0,)


def test_large_matrices_are_made_few_at_a_time(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    many, example = spans(9), spans(1)[0]
    together = verifier.score(many, phones=PHONES, example=example)
    for cells in (1, 2 * 2 * len(example) * 11 * 2):
        monkeypatch.setattr(network, "CELLS", cells)
        assert verifier.score(many, phones=PHONES, example=example) == pytest.approx(together, abs=1e-5)


def test_the_bank_is_heard_only_where_the_settings_say(verifier: Verifier) -> None:
    without = make(replace(TINY, memory_bank=False))
    for one, differs in ((verifier, True), (without, False)):
        before = one.score(spans(3), phones=PHONES)
        one.bank.copy_(torch.randn(one.bank.shape))
        assert np.array_equal(before, one.score(spans(3), phones=PHONES)) != differs


def test_phones_differ_by_their_order(verifier: Verifier) -> None:
    assert verifier.score(spans(1), phones=PHONES) != verifier.score(spans(1), phones=PHONES[::-1])


def test_a_span_is_cut_with_its_margin_and_within_its_frames() -> None:
    frames = Frames(np.arange(20, dtype=np.float32).reshape(10, 2), 0.04)
    assert cut(frames, 0.12, 0.24).tolist() == [[2.0 * i] for i in range(1, 8)]
    assert cut(frames, 0.12, 0.24, margin=0.0).tolist() == [[6.0], [8.0], [10.0]]
    assert cut(frames, 0.0, 9.0).shape == (10, 1)
    assert cut(frames, 0.2, 0.2, margin=0.0).tolist() == [[10.0]]
    assert cut(frames, 5.0, 6.0).tolist() == [[18.0]]
    assert cut(frames, -6.0, -5.0).tolist() == [[0.0]]
