"""The same-different task on LibriSpeech, from your copies of LibriSpeech and of nicolvisser/librispeech-samediff.

    python benchmarks/samediff.py librispeech_samediff/data/dev-clean.csv LibriSpeech --name dev-clean

The list names word, speaker_id, filename, start and end: words of five or more characters and half a second or more
that come twice. Figures as that benchmark defines them: area under the precision-recall curve by trapezoids, and
precision where it equals recall, over all same-word pairs (SW), those of one speaker (SWSP) and of two (SWDP);
precision is that of all pairs each time.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clips import Clip, embed_clips
from measure import add_system, load_system, write_result
from word_discrimination import acoustic

from stdsearch.encoder import Encoder
from stdsearch.errors import StdSearchError


def read_list(path: Path, librispeech: Path) -> list[Clip]:
    """The clips of a list, in their utterances, which lie anywhere below the LibriSpeech folder."""
    audio = {file.stem: file for file in sorted(librispeech.rglob("*-*-*.*")) if not file.name.endswith(".trans.txt")}
    clips = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                utterance, times = row["filename"], (float(row["start"]), float(row["end"]))
                clips.append(Clip(row["word"], row["speaker_id"], audio[utterance], *times))
            except (KeyError, ValueError, TypeError) as error:
                raise StdSearchError(
                    f"{path}:{number}: no word of an utterance below {librispeech} ({error}); "
                    "give a list of librispeech-samediff and the LibriSpeech folder that holds its part"
                ) from error
    return clips


def evaluate(encoder: Encoder, clips: Sequence[Clip]) -> dict[str, Any]:
    """Areas and break-even points of SW, SWSP and SWDP pairs; None where there is no such pair."""
    same = acoustic(embed_clips(encoder, clips), clips)
    if same is None:
        raise StdSearchError("no word of the list comes twice, so there is no pair to find; give a whole list")
    curves = {"sw": same.all, "swsp": same.same_speaker, "swdp": same.different_speaker}
    return {
        "tokens": len(clips),
        "types": len({clip.text for clip in clips}),
        "pairs": same.n_pairs,
        **{f"n_{kind}": curve.n_positive if curve else 0 for kind, curve in curves.items()},
        **{f"ap_{kind}": curve and round(curve.trapezoid, 4) for kind, curve in curves.items()},
        **{f"prb_{kind}": curve and round(curve.break_even, 4) for kind, curve in curves.items()},
    }


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path)
    parser.add_argument("librispeech", type=Path)
    add_system(parser)
    arguments = parser.parse_args()
    encoder, about = load_system(arguments)
    about["tested_on"] = arguments.list.stem
    clips = read_list(arguments.list, arguments.librispeech)
    if arguments.cut:
        clips = [clip.alone() for clip in clips]
    figures = about | evaluate(encoder, clips)
    print(figures)
    print(write_result(f"samediff_{arguments.name}", figures, threads=arguments.threads))


if __name__ == "__main__":
    main()
