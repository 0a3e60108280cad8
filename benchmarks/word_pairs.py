"""Words by text among fifty times as many wrong pairs: ADML's protocol, average precision.

    python benchmarks/word_pairs.py runs/speech.jsonl --split dev --name dev

Each word said in the split makes a positive pair with its own text, and texts of other words of the split, drawn at
random without repetition, make the negatives. The paper took 18,000 positives from WSJ with noise and reverberation;
here they are as many as the split has, as recorded.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clips import Clip, embed_clips, pronounce, read_parts, word_clips
from measure import add_system, load_system, write_result

from stdsearch.encoder import Encoder
from stdsearch.metrics.discrimination import precision_recall

NEGATIVES = 50  # a positive
SEEDS = (0, 1, 2)


def draw_negatives(own: np.ndarray, n_types: int, n_negatives: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs (clip, type), each (n_negatives,), with no clip's own type, which own (n,) tells."""
    others = n_types - 1
    drawn = np.random.default_rng(seed).choice(len(own) * others, size=n_negatives, replace=False)
    clip, other = np.divmod(drawn, others)
    return clip, other + (other >= own[clip])


def evaluate(
    encoder: Encoder, clips: Sequence[Clip], *, negatives: int = NEGATIVES, seeds: Iterable[int] = SEEDS
) -> dict[str, Any]:
    """Average precision, the mean over draws of negatives, and that of each draw."""
    types, own = np.unique([clip.text for clip in clips], return_inverse=True)
    audio, texts = _unit(embed_clips(encoder, clips)), _unit(encoder.embed_phones(pronounce(types.tolist())))
    n_negatives = min(negatives * len(clips), len(clips) * (len(types) - 1))
    positives = (audio * texts[own]).sum(axis=1)
    precisions = []
    for seed in seeds:
        clip, other = draw_negatives(own, len(types), n_negatives, seed=seed)
        scores = np.empty(n_negatives, dtype=np.float32)
        for part in np.array_split(np.arange(n_negatives), n_negatives // 2**16 + 1):
            scores[part] = (audio[clip[part]] * texts[other[part]]).sum(axis=1)
        curve = precision_recall(positives, scores, [np.ones(len(positives), dtype=np.bool_)])[0]
        precisions.append(round(curve.average_precision, 4) if curve else 0.0)
    return {
        "positives": len(clips),
        "negatives": n_negatives,
        "types": len(types),
        "ap": round(float(np.mean(precisions)), 4),
        "ap_by_seed": dict(zip(map(str, seeds), precisions, strict=True)),
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", nargs="+", default=["dev"], help="splits or corpora of the manifest, pooled")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the draws of negatives")
    add_system(parser)
    arguments = parser.parse_args()
    encoder, about = load_system(arguments)
    clips = word_clips(read_parts(arguments.manifest, arguments.split), arguments.manifest.parent)
    if arguments.cut:
        clips = [clip.alone() for clip in clips]
    about["tested_on"] = " + ".join(arguments.split)
    figures = about | evaluate(encoder, clips, seeds=arguments.seeds)
    print(figures)
    print(write_result(f"word_pairs_{arguments.name}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
