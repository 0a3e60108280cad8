"""LibriPhrase: was the enrolled phrase said? EER and AUC on easy (LP-E) and hard (LP-H) negatives.

    python benchmarks/libriphrase.py runs/speech.jsonl --split dev --small --name dev
    python benchmarks/libriphrase.py runs/librispeech.jsonl --split librispeech/train-other-500 --name other-500
    python benchmarks/libriphrase.py --csv data/libriphrase_diffspk_all_*word.csv --audio LibriPhrase --name official

The first two choose trials from a manifest of `stdsearch train prepare` (phrase_trials tells the rule; --small for
corpora where nobody says a phrase six times); the third reads the official files. --verifier scores with a verifier
instead of the cosine of embeddings; --cut encodes each clip cut out of its utterance, as the official files are.

Enrolment: T, the other clip's text; A, its sound; TA, both (for embeddings, the mean of the two cosines). "4" is
PhonMatchNet's expansion of a row to trials, "2" is MM-KWS's; no paper says whether it left out trials that come twice,
so figures stand over all and over the distinct ones. All trials are pooled.
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from clips import Clip, Phones, embed_clips, heard, pronounce, read_parts
from measure import add_system, load_system, write_result
from phrase_trials import (
    OFFICIAL,
    SMALL,
    EditDistances,
    Kind,
    Row,
    Trials,
    choose_rows,
    expand_four,
    expand_two,
    phrase_clips,
)

from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError
from stdsearch.metrics.trials import equal_error_rate, roc_area

if TYPE_CHECKING:
    from stdsearch.verifier import Verifier

SETS = {"LP-E": Kind.EASY, "LP-H": Kind.HARD}
PROTOCOLS = (("T", 4, expand_four), ("T", 2, expand_two), ("A", 2, expand_two), ("TA", 2, expand_two))
Scorer = Callable[[str, np.ndarray, np.ndarray], np.ndarray]  # (enrolment, query (n,), enrolled (n,)) -> scores (n,)


@dataclass(frozen=True, slots=True)
class PhraseSet:
    """Clips, rows of pairs of them, and the pronunciation of every text in the rows."""

    clips: Sequence[Clip]
    rows: Sequence[Row]
    phones: dict[str, Phones]


def choose(manifest: Path, parts: Sequence[str], *, small: bool = False, seed: int = 0) -> PhraseSet:
    """The phrases of parts of a manifest, and rows chosen from them."""
    settings = SMALL if small else OFFICIAL
    clips = phrase_clips(read_parts(manifest, parts), manifest.parent, settings)
    texts = sorted({clip.text for clip in clips})
    phones = dict(zip(texts, pronounce(texts), strict=True))
    rows = choose_rows(clips, phones, settings, seed=seed)
    if not {row.kind for row in rows} >= set(Kind):
        hint = "choose more splits" if small else "choose more splits, or --small"
        raise StdSearchError(f"{manifest}: {' and '.join(parts)} has too few phrases said by several speakers; {hint}")
    return PhraseSet(clips, rows, phones)


def read_official(paths: Iterable[Path], audio: Path) -> PhraseSet:
    """The official CSV files, whose clips lie below a folder."""
    places: dict[Clip, int] = {}
    rows = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                try:
                    pair = [_clip(row, side, audio) for side in ("anchor", "comparison")]
                    kind = Kind(row["type"])
                except (KeyError, ValueError) as error:
                    raise StdSearchError(
                        f"{path}:{number}: no row of LibriPhrase ({error}); give libriphrase_diffspk_all_*word.csv"
                    ) from error
                anchor, comparison = (places.setdefault(clip, len(places)) for clip in pair)
                rows.append(Row(anchor, comparison, kind))
    texts = sorted({clip.text for clip in places})
    return PhraseSet(list(places), rows, dict(zip(texts, pronounce(texts), strict=True)))


def _clip(row: dict[str, str], side: str, audio: Path) -> Clip:
    path = audio / row[side].lstrip("/")
    return Clip(row[f"{side}_text"], row[f"{side}_spk"], path, 0.0, float(row[f"{side}_dur"]))


def evaluate(encoder: Encoder, phrases: PhraseSet, *, verifier: "Verifier | None" = None) -> dict[str, Any]:
    """EER and AUC of each set and protocol, over all trials and over the distinct ones, and what the rows hold."""
    used = sorted({place for row in phrases.rows for place in (row.anchor, row.comparison)})
    clips = [phrases.clips[place] for place in used]
    texts = sorted({clip.text for clip in clips})
    text = np.searchsorted(texts, [clip.text for clip in clips])
    phones = [phrases.phones[text] for text in texts]
    heard = (encoder, clips, text, phones)
    scorer = by_verifier(verifier, *heard) if verifier else by_cosine(*heard)
    where = {place: i for i, place in enumerate(used)}
    rows = [Row(where[row.anchor], where[row.comparison], row.kind) for row in phrases.rows]
    trials = [
        {"set": name, "enrolment": enrolment, "expansion": expansion}
        | _figures(expand(rows, negative), enrolment, scorer, text)
        for enrolment, expansion, expand in PROTOCOLS
        for name, negative in SETS.items()
    ]
    return {"scorer": "verifier" if verifier else "cosine", **describe(phrases), "trials": trials}


def _figures(trials: Trials, enrolment: str, scorer: Scorer, text: np.ndarray) -> dict[str, Any]:
    enrolled = text[trials.enrolled] if enrolment == "T" else trials.enrolled  # what tells two trials apart
    pairs = np.stack([trials.query, enrolled], axis=1)
    _, first, again = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    distinct = scorer(enrolment, trials.query[first], trials.enrolled[first])
    target, scores = trials.target[first], distinct[again.ravel()]
    return {
        "n_trials": len(scores),
        "n_targets": int(trials.target.sum()),
        "eer": round(equal_error_rate(scores[trials.target], scores[~trials.target]), 4),
        "auc": round(roc_area(scores[trials.target], scores[~trials.target]), 4),
        "n_distinct": len(distinct),
        "n_distinct_targets": int(target.sum()),
        "eer_distinct": round(equal_error_rate(distinct[target], distinct[~target]), 4),
        "auc_distinct": round(roc_area(distinct[target], distinct[~target]), 4),
    }


def by_cosine(encoder: Encoder, clips: Sequence[Clip], text: np.ndarray, phones: Sequence[Phones]) -> Scorer:
    """Scores by embeddings: of the clip heard with those of the text, of the sound, or the mean of both."""
    audio, texts = _unit(embed_clips(encoder, clips)), _unit(encoder.embed_phones(phones))

    def score(enrolment: str, query: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
        cosines = {"T": texts[text[enrolled]], "A": audio[enrolled]}
        return np.mean([(audio[query] * cosines[part]).sum(axis=1) for part in enrolment], axis=0)

    return score


def by_verifier(
    verifier: "Verifier", encoder: Encoder, clips: Sequence[Clip], text: np.ndarray, phones: Sequence[Phones]
) -> Scorer:
    """Scores by a verifier: its log odds that the clip heard is what was enrolled."""
    from stdsearch.verifier import cut

    spans: list[np.ndarray] = [np.empty(0)] * len(clips)
    examples = spans.copy()
    for places, frames in heard(encoder, clips):
        for place in places:
            begin, end = clips[place].begin, clips[place].end
            spans[place], examples[place] = cut(frames, begin, end), cut(frames, begin, end, margin=0.0)

    def score(enrolment: str, query: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
        scores = np.empty(len(query), dtype=np.float32)
        for clip in np.unique(enrolled):
            trials = np.flatnonzero(enrolled == clip)
            scores[trials] = verifier.score(
                [spans[q] for q in query[trials]],
                phones=phones[text[clip]] if "T" in enrolment else (),
                example=examples[clip] if "A" in enrolment else None,
            )
        return scores

    return score


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def describe(phrases: PhraseSet) -> dict[str, Any]:
    """What the rows hold, by number of words; hard_distance is the median, in phones, to a hard negative."""
    clips, by_words = phrases.clips, {}
    speakers: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        speakers[clip.text].add(clip.speaker)
    for n_words in sorted({len(text.split()) for text in speakers}):
        texts = [text for text in speakers if len(text.split()) == n_words]
        rows = [row for row in phrases.rows if len(clips[row.anchor].text.split()) == n_words]
        hard = {(clips[r.anchor].text, clips[r.comparison].text) for r in rows if r.kind is Kind.HARD}
        distances = [EditDistances([phrases.phones[near]])(phrases.phones[text])[0] for text, near in hard]
        kinds = Counter(row.kind.value for row in rows)
        by_words[n_words] = {
            "clips": sum(len(clip.text.split()) == n_words for clip in clips),
            "phrases": len(texts),
            "phrases_of_two_speakers": sum(len(speakers[text]) > 1 for text in texts),
            "anchor_phrases": len({clips[row.anchor].text for row in rows}),
            "episodes": len({(clips[row.anchor].text, clips[row.anchor].speaker) for row in rows}),
            **{f"rows_{kind.name.lower()}": kinds[kind.value] for kind in Kind},
            "hard_distance": float(np.median(distances)) if distances else None,
        }
    return {"speakers": len({clip.speaker for clip in clips}), "words": by_words}


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, nargs="?")
    parser.add_argument("--split", nargs="+", default=["dev"], help="splits or corpora of the manifest, pooled")
    parser.add_argument("--small", action="store_true", help="a phrase need be said but once, by two speakers")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    parser.add_argument("--csv", type=Path, nargs="+", help="the official files instead of a manifest")
    parser.add_argument("--audio", type=Path, help="the folder that their paths begin in")
    parser.add_argument(
        "--verifier", type=Path, nargs="?", const=Path(), help="score with it; no FILE: the one that ships"
    )
    add_system(parser)
    arguments = parser.parse_args()
    if (arguments.manifest is None) == (arguments.csv is None) or (arguments.csv and not arguments.audio):
        parser.error("give a manifest, or --csv FILE... --audio DIR")
    encoder, about = load_system(arguments)
    verifier = None
    if arguments.verifier is not None:
        from stdsearch.verifier import load_verifier

        verifier = load_verifier(None if arguments.verifier == Path() else arguments.verifier)
        if verifier.encoder_fingerprint != encoder.fingerprint:
            raise StdSearchError(f"{arguments.verifier}: reads another encoder's frames; name that one with --encoder")
    if arguments.csv:
        phrases, about["tested_on"] = read_official(arguments.csv, arguments.audio), "LibriPhrase, official"
    else:
        phrases = choose(arguments.manifest, arguments.split, small=arguments.small, seed=arguments.seed)
        about["tested_on"] = f"{' + '.join(arguments.split)}{', small' if arguments.small else ''}"
        about["seed"] = arguments.seed
    if arguments.cut:
        phrases = replace(phrases, clips=[clip.alone() for clip in phrases.clips])
    figures = about | evaluate(encoder, phrases, verifier=verifier)
    for row in figures["trials"]:
        print(row)
    print(write_result(f"libriphrase_{arguments.name}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
