"""`make demo`: from recordings to hits in a minute.

Synthetic voices, and hits checked against what they said; with --audio DIR --term TERM, the same over your own folder.
"""

import argparse
import csv
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path("demo")
ARCHIVE = OUT / "archive"
SHOWN = "5"  # hits
SOME_LEFT_OUT = 3  # exit code of `stdsearch index`: it told which recordings it could not read
SLACK = 0.5  # seconds between the middles of a hit and of an occurrence that still match, as in NIST's scoring


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A query, and what it looks for; text or example may be missing."""

    story: str
    said: str
    text: str = ""
    example: Path | None = None


DEMONSTRATIONS = (
    Demonstration("A typed query: who speaks of a lighthouse?", "lighthouse", "lighthouse"),
    Demonstration(
        "A spoken query: a ninth voice, which is not in the archive, says one word.",
        "thunderstorm",
        example=OUT / "queries" / "thunderstorm.wav",
    ),
    Demonstration(
        "Both together: a phrase as text, and the ninth voice saying it.",
        "railway station",
        "railway station",
        OUT / "queries" / "railway-station.wav",
    ),
)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a term is said: the recording, and the middle in seconds."""

    recording: str
    middle: float


def run(*arguments: str | Path) -> None:
    """Run a stdsearch command and show it as a user would type it."""
    words = [str(argument) for argument in arguments]
    print(f"\n  $ stdsearch {shlex.join(words)}", flush=True)
    ended = subprocess.run([sys.executable, "-m", "stdsearch", *words], check=False)
    if ended.returncode not in (0, SOME_LEFT_OUT):
        sys.exit(ended.returncode)


def render(table: str, folder: Path) -> list[dict[str, str]]:
    """The words of the recordings that voices.py renders from a table: word, speaker, recording, tbeg, tend."""
    command: list[str | Path] = [sys.executable, HERE.parent / "voices.py", HERE / table, folder]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return list(csv.DictReader(ended.stdout.splitlines(), delimiter="\t"))


def occurrences(term: str, words: list[dict[str, str]]) -> list[Occurrence]:
    """Where a term is said."""
    n_words = len(term.split())
    runs = [words[i : i + n_words] for i in range(len(words) - n_words + 1)]
    said = [run for run in runs if " ".join(word["word"] for word in run) == term]
    middles = [(float(run[0]["tbeg"]) + float(run[-1]["tend"])) / 2 for run in said]
    return [Occurrence(f"{run[0]['recording']}.wav", middle) for run, middle in zip(said, middles, strict=True)]


def synthetic() -> None:
    """Eight voices tell of a small town; a query typed, one spoken, one both; every hit checked."""
    print("Eight synthetic voices tell of their lives in a small town. Rendering them into demo/recordings ...")
    words = render("archive.tsv", OUT / "recordings")
    render("queries.tsv", OUT / "queries")

    print("\nThe index: a network listens to every recording once. No transcript is made, and none is needed.")
    run("index", OUT / "recordings", "--out", ARCHIVE)

    for demo in DEMONSTRATIONS:
        print(f"\n{demo.story}")
        example = ("--audio", demo.example) if demo.example else ()
        run("query", ARCHIVE, *filter(None, (demo.text,)), *example, "--limit", SHOWN)

    import stdsearch  # after the commands, each of which is a process of its own

    print("\nThe voices' words are known to the millisecond, so every hit can be checked, here from Python:\n")
    archive = stdsearch.Archive.open(ARCHIVE)
    best = []
    for demo in DEMONSTRATIONS:
        true = occurrences(demo.said, words)
        found = archive.search(demo.text, examples=[demo.example] if demo.example else [], limit=len(true))
        right = [
            any(hit.recording == o.recording and abs(hit.tbeg + hit.dur / 2 - o.middle) <= SLACK for o in true)
            for hit in found.hits
        ]
        verdict = " ".join("right" if is_right else "wrong" for is_right in right) or "none"
        print(f"  {demo.said:<16} said {len(true)} times; best {len(true)} hits: {verdict}")
        best.append(right[:1] == [True])
    if not all(best):
        sys.exit("\nThe best hit of a query is wrong. Please report this, with the output above.")


def own(recordings: Path, term: str) -> None:
    """The same over the user's folder."""
    run("index", recordings, "--out", ARCHIVE)
    if term:
        run("query", ARCHIVE, term)


def main() -> None:
    """Run the demo and say what to try next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, help="folder of your own recordings")
    parser.add_argument("--term", default="", help="what to search for in them")
    options = parser.parse_args()
    if options.term and not options.audio:
        parser.error('--term needs --audio: make demo AUDIO=DIR TERM="a phrase"')
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    if options.audio:
        own(options.audio, options.term)
    else:
        synthetic()
    print(f"""
Try next:
  .venv/bin/stdsearch query {ARCHIVE} "a word" "or a phrase"
  .venv/bin/stdsearch query {ARCHIVE} "a word" --clips demo/clips    each hit as a WAV to listen to
  .venv/bin/stdsearch info {ARCHIVE}
  make demo AUDIO=path/to/recordings TERM="a phrase"                 your own folder""")


if __name__ == "__main__":
    main()
