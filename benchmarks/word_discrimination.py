"""Word discrimination on a task's words.tsv: same words told from different ones, by sound and by text.

    python benchmarks/word_discrimination.py ../shared/speech/test --name test

words.tsv names word, speaker, recording, tbeg and tend; the recordings are those of ecf.xml. Acoustic average precision
is over all pairs of stretches, cross-modal over all pairs of a word's first pronunciation and a stretch.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clips import Clip, embed_clips, pronounce
from measure import add_system, load_system, write_result

from stdsearch.encoder import Encoder
from stdsearch.formats.ecf import read_ecf
from stdsearch.metrics.discrimination import SameDifferent, cross_modal, pair_scores, same_different


def read_words(task: Path) -> list[Clip]:
    """The stretches of words.tsv, in their whole recordings."""
    names = [excerpt.audio_filename for excerpt in read_ecf(task / "ecf.xml").excerpts]
    folders = task.resolve().parents
    audio = {Path(name).stem: next(up / name for up in folders if (up / name).exists()) for name in names}
    with open(task / "words.tsv", encoding="utf-8", newline="") as file:
        return [
            Clip(row["word"], row["speaker"], audio[row["recording"]], float(row["tbeg"]), float(row["tend"]))
            for row in csv.DictReader(file, delimiter="\t")
        ]


def evaluate(encoder: Encoder, clips: Sequence[Clip]) -> dict[str, Any]:
    """Average precisions over all pairs of the clips; None where there is no pair to find."""
    return discriminate(encoder, embed_clips(encoder, clips), clips)


def discriminate(encoder: Encoder, vectors: np.ndarray, clips: Sequence[Clip]) -> dict[str, Any]:
    """The figures of evaluate, from the clips' embeddings (n, dim)."""
    words, same = np.array([clip.text for clip in clips]), acoustic(vectors, clips)
    types = np.unique(words)
    texts = encoder.embed_phones(pronounce(types.tolist()))
    return {
        "tokens": len(words),
        "types": len(types),
        "speakers": len({clip.speaker for clip in clips}),
        "same_word_pairs": same.all.n_positive if same else 0,
        "acoustic_ap": _precision(same, "all"),
        "acoustic_ap_same_speaker": _precision(same, "same_speaker"),
        "acoustic_ap_different_speaker": _precision(same, "different_speaker"),
        "crossmodal_ap": round(cross_modal(texts, types, vectors, words).average_precision, 4),
    }


def acoustic(vectors: np.ndarray, clips: Sequence[Clip]) -> SameDifferent | None:
    """Same-different discrimination of the clips by sound; None if no word comes twice."""
    words = np.array([clip.text for clip in clips])
    if len(np.unique(words)) == len(words):
        return None
    return same_different(pair_scores(vectors), words, np.array([clip.speaker for clip in clips]))


def _precision(same: SameDifferent | None, pairs: str) -> float | None:
    curve = getattr(same, pairs, None)
    return round(curve.average_precision, 4) if curve else None


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    add_system(parser)
    arguments = parser.parse_args()
    encoder, about = load_system(arguments)
    clips = read_words(arguments.task)
    if arguments.cut:
        clips = [clip.alone() for clip in clips]
    figures = about | evaluate(encoder, clips)
    print(figures)
    print(write_result(f"words_{arguments.name}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
