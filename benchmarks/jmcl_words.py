r"""Word discrimination as JMCL reports it: words seen in training (IV) and others (OOV) apart, by sound and by text.

    python benchmarks/jmcl_words.py runs/speech.jsonl --split dev --name dev
    python benchmarks/jmcl_words.py runs/librispeech.jsonl --split librispeech/test-clean \
        --vocabulary librispeech/train-clean-100 --name test-clean

A word counts with three characters or more and .5 to 2 s; acoustic average precision is over all pairs of clips
within a set, cross-modal over all pairs of a word's first pronunciation and a clip. Source: 2512.14115.
"""

import argparse
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from clips import Clip, embed_clips, read_parts, word_clips
from measure import add_system, load_system, write_result
from word_discrimination import discriminate

from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError

MIN_CHARACTERS, MIN_SECONDS, MAX_SECONDS = 3, 0.5, 2.0


def jmcl_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Those that count."""
    return [c for c in clips if len(c.text) >= MIN_CHARACTERS and MIN_SECONDS <= c.seconds <= MAX_SECONDS]


def evaluate(encoder: Encoder, clips: Sequence[Clip], vocabulary: Set[str]) -> dict[str, Any]:
    """Figures of the words in the vocabulary (IV) and of the others (OOV); a set without words is left out."""
    clips = jmcl_clips(clips)
    vectors, figures = embed_clips(encoder, clips), {}
    for name, seen in (("IV", True), ("OOV", False)):
        places = [i for i, clip in enumerate(clips) if (clip.text in vocabulary) is seen]
        if places:
            figures[name] = discriminate(encoder, vectors[places], [clips[i] for i in places])
    return figures


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", nargs="+", default=["dev"], help="splits or corpora of the manifest, pooled")
    parser.add_argument("--vocabulary", nargs="+", default=["train"], help="the same, whose words are IV")
    add_system(parser)
    arguments = parser.parse_args()
    encoder, about = load_system(arguments)
    clips = word_clips(read_parts(arguments.manifest, arguments.split), arguments.manifest.parent)
    if arguments.cut:
        clips = [clip.alone() for clip in clips]
    vocabulary = {word.text for u in read_parts(arguments.manifest, arguments.vocabulary) for word in u.words}
    about["tested_on"] = " + ".join(arguments.split)
    figures = about | evaluate(encoder, clips, vocabulary)
    if not figures.keys() & {"IV", "OOV"}:
        raise StdSearchError(f"{arguments.manifest}: no word of {about['tested_on']} counts; choose other splits")
    print(figures)
    print(write_result(f"jmcl_words_{arguments.name}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
