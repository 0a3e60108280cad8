from dataclasses import fields, replace

import numpy as np
import pytest

from stdsearch.align import align_phones, subsequence_dtw
from stdsearch.encoder import Frames
from stdsearch.phones import PHONE_INDEX
from stdsearch.rescore import MARGIN, SCORE_RANGE, WORTH, Candidates, Example, Query, middle, rescore
from stdsearch.search import Archive

# In the catalog's order: news/long.wav (3 s), odd.wav (2.405 s), short.wav (0.25 s), two.wav (two channels, 2.6 s).
PLACES = Candidates(
    recording_id=np.array([0, 3, 1, 0]),
    channel=np.array([1, 2, 1, 1]),
    tbeg=np.array([1.2, 0.0, 1.8, 2.4]),
    tend=np.array([1.64, 0.44, 2.4, 2.72]),
    score=np.array([0.9, 0.7, 0.6, 0.5], np.float32),
)
STAR, LONG = ("S", "T", "AA", "R"), ("B", "AH", "T") * 10


def text_query(archive: Archive, *pronunciations: tuple[str, ...]) -> Query:
    return Query(pronunciations, archive.encoder.embed_phones([p[middle(p)] for p in pronunciations]), ())


def example(archive: Archive, tbeg: float, tend: float, beyond: float = 0.0) -> Example:
    """A span of news/long.wav, as the archive has it."""
    frames, _ = archive.reader.frames(0, 1, tbeg, tend)
    (embedding,) = archive.encoder.embed_spans(frames, np.array([beyond]), np.array([tend - tbeg - beyond]))
    return Example(frames, embedding, beyond)


def span_embedding(archive: Archive, i: int, tbeg: float, tend: float) -> np.ndarray:
    """The embedding of a span of candidate i's recording, of which all frames are looked at."""
    frames, start = archive.reader.frames(int(PLACES.recording_id[i]), int(PLACES.channel[i]), 0.0, 99.0)
    assert start == 0.0
    (embedding,) = archive.encoder.embed_spans(frames, np.array([tbeg]), np.array([tend]))
    return embedding


def around(archive: Archive, i: int, margin: float) -> tuple[Frames, float]:
    return archive.reader.frames(
        int(PLACES.recording_id[i]), int(PLACES.channel[i]), PLACES.tbeg[i] - margin, PLACES.tend[i] + margin
    )


@pytest.mark.parametrize("phones", [STAR, LONG])
def test_text_features_are_those_of_each_candidate_alone(archive: Archive, phones: tuple[str, ...]) -> None:
    """The definition: one candidate after the other, one phone after the other."""
    query = text_query(archive, phones)
    found, features = rescore([query], PLACES, archive.reader, archive.encoder)
    columns = np.array([PHONE_INDEX[phone] for phone in phones])
    for i in range(len(PLACES)):
        frames, start = around(archive, i, MARGIN + query.beyond)
        posteriors = archive.encoder.phone_log_posteriors(frames)
        ratio = np.clip(posteriors - archive.encoder.log_prior, *SCORE_RANGE)
        one = np.array([0])
        string = columns[None], np.array([len(columns)])
        _, (borders,) = align_phones(ratio - np.float32(WORTH), np.array([0, len(ratio)]), *string, one, one)
        spans = list(zip(borders, borders[1:], columns, strict=False))
        assert (found.tbeg[i], found.tend[i]) == pytest.approx((start + 0.02 * borders[0], start + 0.02 * borders[-1]))
        means = [ratio[first:last, column].mean() for first, last, column in spans]
        assert features["alignment"][i] == pytest.approx(np.mean(means), abs=1e-4)
        assert features["weakest"][i] == pytest.approx(np.min(means), abs=1e-4)
        of_posteriors = [posteriors[first:last, column].mean() for first, last, column in spans]
        assert features["posterior"][i] == pytest.approx(np.mean(of_posteriors), abs=1e-4)
        assert features["pace"][i] == pytest.approx((found.tend[i] - found.tbeg[i]) / len(phones))
        embedded = middle(phones)
        tbeg, tend = (start + 0.02 * borders[at] for at in (embedded.start, embedded.stop))
        cosine = span_embedding(archive, i, tbeg, tend) @ query.text_embeddings[0]
        assert features["text"][i] == pytest.approx(cosine, abs=1e-4)
    assert features["length"] == pytest.approx(np.log(len(phones)))
    assert features["first"].tolist() == PLACES.score.tolist()


def test_edges_are_looked_for_where_a_span_begins_and_ends(archive: Archive) -> None:
    for query in (text_query(archive, STAR), Query((), np.empty((0, 8), np.float32), (example(archive, 1.2, 1.64),))):
        found, features = rescore([query], PLACES, archive.reader, archive.encoder)
        for i in range(len(PLACES)):
            frames, start = around(archive, i, MARGIN)
            edges = archive.encoder.edge_log_odds(frames)
            for name, time in (("opening", found.tbeg[i]), ("closing", found.tend[i])):
                row = round((time - start) / 0.02)
                beside = edges[max(row - 1, 0) : row + 1]
                assert features[name][i] == pytest.approx(beside.max(), abs=1e-4), name


def test_of_several_pronunciations_the_one_that_aligns_best_counts(archive: Archive) -> None:
    both, features = rescore([text_query(archive, STAR, ("AH",))], PLACES, archive.reader, archive.encoder)
    apart = [rescore([text_query(archive, p)], PLACES, archive.reader, archive.encoder) for p in (STAR, ("AH",))]
    for i in range(len(PLACES)):
        places, alone = max(apart, key=lambda one: one[1]["alignment"][i])
        assert {name: value[i] for name, value in features.items()} == pytest.approx(
            {name: value[i] for name, value in alone.items()}
        )
        assert (both.tbeg[i], both.tend[i]) == (places.tbeg[i], places.tend[i])


@pytest.mark.parametrize("beyond", [0.0, 0.4])
def test_example_features_are_those_of_each_candidate_alone(archive: Archive, beyond: float) -> None:
    examples = (example(archive, 1.2, 1.64), example(archive, 0.4, 0.8 + 2 * beyond, beyond))
    query = Query((), np.empty((0, 8), np.float32), examples)
    assert query.beyond == beyond
    found, features = rescore([query], PLACES, archive.reader, archive.encoder)
    mean = examples[0].embedding + examples[1].embedding
    mean /= np.linalg.norm(mean)
    seconds = (examples[0].frames.duration + examples[1].frames.duration) / 2
    for i in range(len(PLACES)):
        frames, start = around(archive, i, MARGIN + beyond)
        x = archive.encoder.match_vectors(frames)
        matches = [subsequence_dtw(archive.encoder.match_vectors(e.frames), x, np.array([0, len(x)])) for e in examples]
        costs = [float(cost[0]) for cost, _, _ in matches]
        assert features["dtw"][i] == pytest.approx(1 - np.mean(costs), abs=1e-5)
        which = int(np.argmin(costs))
        _, (begin,), (end,) = matches[which]
        tbeg, tend = start + 0.04 * begin, start + 0.04 * end
        assert (found.tbeg[i], found.tend[i]) == pytest.approx((tbeg, tend))
        assert features["stretch"][i] == pytest.approx(np.log((tend - tbeg) / seconds))
        left = examples[which].beyond / examples[which].frames.duration * (tend - tbeg)
        cosine = span_embedding(archive, i, tbeg + left, tend - left) @ mean
        assert features["audio"][i] == pytest.approx(cosine, abs=1e-4)
    assert features["length"] == pytest.approx(np.log(10 * seconds))


def test_an_example_matches_its_own_place_without_cost(archive: Archive) -> None:
    query = Query((), np.empty((0, 8), np.float32), (example(archive, 1.2, 1.64),))
    found, features = rescore([query], PLACES, archive.reader, archive.encoder)
    assert features["dtw"][0] == pytest.approx(1, abs=1e-5)
    assert features["audio"][0] == pytest.approx(1, abs=1e-5)
    assert features["stretch"][0] == pytest.approx(0, abs=1e-5)
    assert (found.tbeg[0], found.tend[0]) == pytest.approx((1.2, 1.64))


def test_text_and_example_give_both_kinds_of_features_and_the_borders_of_the_text(archive: Archive) -> None:
    text = text_query(archive, STAR)
    both = Query(text.pronunciations, text.text_embeddings, (example(archive, 1.2, 1.64),))
    places, features = rescore([both], PLACES, archive.reader, archive.encoder)
    aligned, of_text = rescore([text], PLACES, archive.reader, archive.encoder)
    assert places.tbeg.tolist() == aligned.tbeg.tolist()
    assert features.keys() == of_text.keys() | {"dtw", "audio", "stretch"}
    assert features["length"].tolist() == of_text["length"].tolist()


@pytest.mark.parametrize("phones", [STAR, LONG])
def test_without_phone_posteriors_text_keeps_the_borders(
    archive: Archive, phones: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long term, 20 of 30 phones are embedded, and a candidate is taken for these: 5 more lie on either side."""
    query = text_query(archive, phones)
    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", lambda frames: None)
    found, features = rescore([query], PLACES, archive.reader, archive.encoder)
    pace = (PLACES.tend - PLACES.tbeg) / min(len(phones), 20)
    around = 5 * pace if phones is LONG else 0
    np.testing.assert_allclose(found.tbeg, np.maximum(PLACES.tbeg - around, 0))
    np.testing.assert_allclose(found.tend, PLACES.tend + around)
    assert features.keys() == {"first", "text", "pace", "length"}
    np.testing.assert_allclose(features["pace"], pace)
    cosines = [span_embedding(archive, i, PLACES.tbeg[i], PLACES.tend[i]) @ query.text_embeddings[0] for i in range(4)]
    np.testing.assert_allclose(features["text"], cosines, atol=1e-4)


def test_without_phone_posteriors_the_nearest_pronunciation_counts(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", lambda frames: None)
    _, features = rescore([text_query(archive, STAR, ("AH",))], PLACES, archive.reader, archive.encoder)
    apart = [rescore([text_query(archive, p)], PLACES, archive.reader, archive.encoder)[1] for p in (STAR, ("AH",))]
    np.testing.assert_allclose(features["text"], np.maximum(*(alone["text"] for alone in apart)), atol=1e-6)


def test_without_phone_posteriors_text_and_example_have_the_borders_of_the_example(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.encoder, "phone_log_posteriors", lambda frames: None)
    text, heard = text_query(archive, LONG), example(archive, 1.2, 1.64)
    both = Query(text.pronunciations, text.text_embeddings, (heard,))
    places, features = rescore([both], PLACES, archive.reader, archive.encoder)
    matched, _ = rescore([Query((), np.empty((0, 8), np.float32), (heard,))], PLACES, archive.reader, archive.encoder)
    # stretches are wider for a long text, but the example's place is the same
    assert (places.tbeg[0], places.tend[0]) == pytest.approx((matched.tbeg[0], matched.tend[0]))
    assert features["pace"] == pytest.approx((places.tend - places.tbeg) / len(LONG))
    middle_of_it = places.tbeg[0] + np.array([5, 25]) * features["pace"][0]
    cosine = span_embedding(archive, 0, *middle_of_it) @ text.text_embeddings[0]
    assert features["text"][0] == pytest.approx(cosine, abs=1e-4)


def test_what_leaves_no_room_for_the_phones_is_left_out(archive: Archive) -> None:
    short = Candidates(
        np.array([2, 0]),
        np.array([1, 1]),
        np.array([0.0, 1.0]),
        np.array([0.2, 1.2]),
        np.array([0.9, 0.8], np.float32),
    )
    found, features = rescore([text_query(archive, LONG)], short, archive.reader, archive.encoder)
    assert found.recording_id.tolist() == [0]
    assert {len(value) for value in features.values()} == {1}
    found, features = rescore([text_query(archive, LONG, STAR)], short, archive.reader, archive.encoder)
    assert found.recording_id.tolist() == [2, 0]
    assert np.isfinite(np.stack(list(features.values()))).all()


def test_the_middle_of_a_long_term_is_embedded() -> None:
    assert STAR[middle(STAR)] == STAR
    phones = [str(i) for i in range(33)]
    assert phones[middle(phones)] == phones[6:26]


@pytest.mark.parametrize("at_a_time", [2, 3, 100])
def test_terms_are_rescored_together_as_each_alone(
    archive: Archive, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With different numbers of pronunciations, a long one among them; the second term has no candidate."""
    monkeypatch.setattr("stdsearch.rescore.AT_A_TIME", at_a_time)
    texts = [text_query(archive, *p) for p in ((STAR, ("AH",)), (STAR,), (LONG,), (("AH", "T"), STAR))]
    heard = [example(archive, 1.2, 1.64), example(archive, 0.4, 1.2), example(archive, 0.4, 2.8, 0.4)]
    spoken = [Query((), np.empty((0, 8), np.float32), examples) for examples in (heard[:2], heard, heard[2:], heard)]
    both = [Query(t.pronunciations, t.text_embeddings, s.examples) for t, s in zip(texts, spoken, strict=True)]
    four = [PLACES.take(np.arange(4)), PLACES.take(np.arange(1, 4)), PLACES.take(np.arange(2))]
    places = [replace(own, term=np.full(len(own), term)) for own, term in zip(four, (0, 2, 3), strict=True)]
    columns = [np.concatenate([getattr(own, field.name) for own in places]) for field in fields(Candidates)]
    for queries in (texts, spoken, both):
        found, features = rescore(queries, Candidates(*columns), archive.reader, archive.encoder)
        assert found.term.tolist() == sorted(found.term.tolist())
        for own, term in zip(four, (0, 2, 3), strict=True):
            alone, of_alone = rescore([queries[term]], own, archive.reader, archive.encoder)
            here = found.term == term
            np.testing.assert_array_equal(found.tbeg[here], alone.tbeg)
            np.testing.assert_array_equal(found.tend[here], alone.tend)
            assert features.keys() == of_alone.keys()
            for name, value in of_alone.items():
                np.testing.assert_allclose(features[name][here], value, atol=1e-5, err_msg=name)


def test_pronunciations_alike_are_looked_for_once() -> None:
    """The first of them; of two that are alike but to a third that is left out, both."""
    angles = np.array([0.0, 0.4, 0.8, 2.0, 2.1])  # cosines of .4: .92, of .8: .70
    query = Query((("AH",),) * 5, np.stack([np.cos(angles), np.sin(angles)], axis=1), ())
    np.testing.assert_array_equal(query.vectors, query.text_embeddings[[0, 2, 3]])
