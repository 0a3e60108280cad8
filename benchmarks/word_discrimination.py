"""Word discrimination on a task's words.tsv: same words told from different ones, by sound and by text.

    python benchmarks/word_discrimination.py ../shared/speech/test --name test

words.tsv names word, speaker, recording, tbeg and tend; the recordings are those of ecf.xml. Acoustic average precision
is over all pairs of stretches, cross-modal over all pairs of a word's first pronunciation and a stretch.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from measure import write_result

from stdsearch.audio import read
from stdsearch.encoder import Encoder, load_encoder
from stdsearch.formats.ecf import read_ecf
from stdsearch.metrics.discrimination import cross_modal, pair_scores, same_different
from stdsearch.pronounce import Pronouncer


def embed_words(task: Path, encoder: Encoder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (n, dim) of the stretches of words.tsv, cut from their whole recordings, with words and speakers."""
    recordings: dict[str, list[dict[str, str]]] = defaultdict(list)
    with open(task / "words.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            recordings[row["recording"]].append(row)
    names = [excerpt.audio_filename for excerpt in read_ecf(task / "ecf.xml").excerpts]
    audio = {Path(name).stem: name for name in names}
    vectors, words, speakers = [], [], []
    for recording, rows in recordings.items():
        path = next(up / audio[recording] for up in task.resolve().parents if (up / audio[recording]).exists())
        spans = np.array([(float(row["tbeg"]), float(row["tend"])) for row in rows])
        vectors.append(encoder.embed_spans(encoder.frames(read(path)), spans[:, 0], spans[:, 1]))
        words += [row["word"] for row in rows]
        speakers += [row["speaker"] for row in rows]
    return np.concatenate(vectors), np.array(words), np.array(speakers)


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--encoder", type=Path, help="default: the one that ships")
    arguments = parser.parse_args()
    encoder, pronouncer = load_encoder(arguments.encoder), Pronouncer()
    vectors, words, speakers = embed_words(arguments.task, encoder)
    types = np.unique(words)
    texts = encoder.embed_phones([pronouncer.pronounce(word)[0] for word in types])
    same = same_different(pair_scores(vectors), words, speakers)
    figures = {
        "encoder": encoder.fingerprint[:16],
        "tokens": len(words),
        "types": len(types),
        "acoustic_ap": round(same.all.average_precision, 4),
        "acoustic_ap_different_speaker": same.different_speaker and round(same.different_speaker.average_precision, 4),
        "crossmodal_ap": round(cross_modal(texts, types, vectors, words).average_precision, 4),
    }
    print(figures)
    print(write_result(f"words_{arguments.name}", figures, threads=1))


if __name__ == "__main__":
    main()
