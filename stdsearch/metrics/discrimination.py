"""Same-different word discrimination: whether embeddings of one word lie closer than those of different words.

All pairs are ranked by score, and precision is followed along recall. Source: Carlin, Thomas, Jansen and Hermansky,
"Rapid evaluation of speech representations for spoken term discovery", Interspeech 2011. For the pairs of the same
speaker and of different speakers, recall counts the same-word pairs of that kind only, while precision is that of all
pairs, as in the benchmark nicolvisser/librispeech-samediff.

Ten million pairs take seconds: negatives are sorted once, and only positives are looked up. Memory is about 6 bytes a
pair.
"""

from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Figures of one precision-recall curve.

    average_precision is the mean precision at the positives (Carlin's AP; a tie counts its whole group), trapezoid the
    area under the curve joined by straight lines, break_even the precision where it equals recall.
    """

    average_precision: float
    trapezoid: float
    break_even: float
    n_positive: int


@dataclass(frozen=True, slots=True)
class SameDifferent:
    """Discrimination over all pairs, and by whether one speaker said both; None where there is no such pair."""

    all: PrecisionRecall
    same_speaker: PrecisionRecall | None
    different_speaker: PrecisionRecall | None
    n_pairs: int


def pair_scores(embeddings: np.ndarray) -> np.ndarray:
    """The cosine of every unordered pair of rows, float32, shape (n (n - 1) / 2,), in the order of np.triu_indices."""
    unit = _unit(embeddings)
    n = len(unit)
    scores = np.empty(n * (n - 1) // 2, dtype=np.float32)
    filled = 0
    for start in range(0, n, BLOCK_ROWS):
        block = unit[start : start + BLOCK_ROWS] @ unit[start:].T
        for row in range(len(block)):
            rest = block[row, row + 1 :]
            scores[filled : filled + len(rest)] = rest
            filled += len(rest)
    return scores


def same_different(scores: np.ndarray, words: np.ndarray, speakers: np.ndarray | None = None) -> SameDifferent:
    """How well the pairs' scores (higher: more alike), in the order of `pair_scores`, tell same words from different.

    words and speakers are of shape (n,). Without speakers, only `all` is given.
    """
    n = len(words)
    if scores.shape != (n * (n - 1) // 2,):
        raise ValueError(f"{n} words make {n * (n - 1) // 2} pairs, but scores have the shape {scores.shape}")
    same_word = _equal_pairs(words)
    positives, negatives = scores[same_word], scores[~same_word]
    kinds = [np.ones(len(positives), dtype=np.bool_)]
    if speakers is not None:
        same_speaker = _equal_pairs(speakers)[same_word]
        kinds += [same_speaker, ~same_speaker]
    curves = precision_recall(positives, negatives, kinds)
    overall = curves[0]
    if overall is None:
        raise ValueError("no word occurs twice, so there is no pair to find")
    same, different = curves[1:] if speakers is not None else (None, None)
    return SameDifferent(overall, same, different, len(scores))


def cross_modal(
    text: np.ndarray, text_words: np.ndarray, audio: np.ndarray, audio_words: np.ndarray
) -> PrecisionRecall:
    """How well the cosine of each text (m, d) with each audio embedding (n, d) tells same words from different."""
    scores = _unit(text) @ _unit(audio).T
    same_word = text_words[:, None] == audio_words[None, :]
    positives = scores[same_word]
    curve = precision_recall(positives, scores[~same_word], [np.ones(len(positives), dtype=np.bool_)])[0]
    if curve is None:
        raise ValueError("no word of the text occurs in the audio, so there is no pair to find")
    return curve


def precision_recall(
    positives: np.ndarray, negatives: np.ndarray, kinds: list[np.ndarray]
) -> list[PrecisionRecall | None]:
    """The curve's figures with recall counted over each kind of positives, a mask of shape (n_positives,).

    None for a kind that no positive is of. Equal to walking down the list of all pairs sorted by score.
    """
    thresholds, group = np.unique(-positives, return_inverse=True)  # from the best score down
    negatives = np.sort(negatives)
    found = np.cumsum(np.bincount(group, minlength=len(thresholds)))
    false_at = len(negatives) - np.searchsorted(negatives, -thresholds, side="left")
    false_before = len(negatives) - np.searchsorted(negatives, -thresholds, side="right")
    found_before = np.concatenate([[0], found[:-1]])
    precision = found / (found + false_at)
    taken_before = found_before + false_before
    precision_before = np.divide(found_before, taken_before, out=np.ones(len(found)), where=taken_before > 0)

    figures: list[PrecisionRecall | None] = []
    for kind in kinds:
        n_positive = int(kind.sum())
        if not n_positive:
            figures.append(None)
            continue
        gained = np.bincount(group[kind], minlength=len(thresholds)) / n_positive
        most_taken = np.append(taken_before[1:], found[-1:] + len(negatives))
        figures.append(
            PrecisionRecall(
                average_precision=float(gained @ precision),
                trapezoid=float(gained @ (precision + precision_before) / 2),
                break_even=_break_even(found, found + false_at, most_taken, np.cumsum(gained)),
                n_positive=n_positive,
            )
        )
    return figures


def _break_even(found: np.ndarray, least_taken: np.ndarray, most_taken: np.ndarray, recall: np.ndarray) -> float:
    """The mean of precision and recall where they are closest.

    Between two positives recall stays and precision falls, as the pairs taken grow from the least to the most.
    """
    wanted = np.divide(found, recall, out=np.full(len(found), np.inf), where=recall > 0)
    taken = np.stack([np.clip(rounded, least_taken, most_taken) for rounded in (np.floor(wanted), np.ceil(wanted))])
    precision = found / taken
    closest = np.argmin(np.abs(precision - recall))
    return float((precision.flat[closest] + recall[closest % len(recall)]) / 2)


def _unit(embeddings: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / np.where(norms > 0, norms, 1)).astype(np.float32)


def _equal_pairs(labels: np.ndarray) -> np.ndarray:
    """Whether the two labels of each unordered pair are equal, in the order of `pair_scores`."""
    numbers = np.unique(labels, return_inverse=True)[1]
    return np.concatenate([np.empty(0, np.bool_), *(numbers[i + 1 :] == numbers[i] for i in range(len(numbers)))])
