"""`make demo`: from recordings to hits in a minute.

python benchmarks/demo/run.py                            synthetic voices; hits checked against what they said
python benchmarks/demo/run.py --audio DIR --term TERM    the same over your own recordings
"""

import argparse
import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path("demo")
ARCHIVE = OUT / "archive"
SLACK = 0.5  # seconds between the middles of a hit and of an occurrence that still match, as in NIST's scoring


def stdsearch(*arguments: str | Path, shown: bool = True) -> str:
    """The standard output of a stdsearch command, which is shown as a user would type it."""
    words = [str(argument) for argument in arguments]
    if shown:
        print(f"\n$ stdsearch {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", "stdsearch", *words]
    ended = subprocess.run(command, stdout=None if shown else subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.returncode)
    return ended.stdout or ""


def render(table: str, folder: Path) -> list[dict[str, str]]:
    """The words of the recordings that voices.py renders from a table: word, speaker, recording, tbeg, tend."""
    command: list[str | Path] = [sys.executable, HERE.parent / "voices.py", HERE / table, folder]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return list(csv.DictReader(ended.stdout.splitlines(), delimiter="\t"))


def occurrences(term: str, words: list[dict[str, str]]) -> list[tuple[str, float]]:
    """Where a term is said: recording and middle in seconds."""
    n_words = len(term.split())
    runs = [words[i : i + n_words] for i in range(len(words) - n_words + 1)]
    said = [run for run in runs if " ".join(word["word"] for word in run) == term]
    return [(run[0]["recording"], (float(run[0]["tbeg"]) + float(run[-1]["tend"])) / 2) for run in said]


def check(term: str, words: list[dict[str, str]], *query: str | Path) -> bool:
    """Whether the best hits of a query are the places where the term is said; says so."""
    true = occurrences(term, words)
    stdsearch("query", ARCHIVE, *query, "--limit", str(len(true)))
    answer = json.loads(stdsearch("query", ARCHIVE, *query, "--limit", str(len(true)), "--format", "json", shown=False))
    right = [
        any(
            hit["recording"].startswith(recording) and abs(hit["tbeg"] + hit["dur"] / 2 - middle) <= SLACK
            for recording, middle in true
        )
        for hit in answer["hits"]
    ]
    marks = ", ".join("right" if is_right else "wrong" for is_right in right)
    print(f'"{term}" was said {len(true)} times; the best {len(true)} hits are {marks or "none"}.')
    return bool(right) and right[0]


def synthetic() -> None:
    """Eight voices tell of a harbour town; three queries, one typed, one spoken, one both."""
    print("Eight synthetic voices tell of their lives in a small town, into demo/recordings ...")
    words = render("archive.tsv", OUT / "recordings")
    render("queries.tsv", OUT / "queries")

    print("\nIndexing listens to every recording once. No transcript is made, or needed.")
    stdsearch("index", OUT / "recordings", "--out", ARCHIVE)

    print("\nA typed query: who speaks of a lighthouse?")
    typed = check("lighthouse", words, "lighthouse")
    print("\nA spoken query: a ninth voice, not in the archive, says one word.")
    spoken = check("thunderstorm", words, "--audio", OUT / "queries" / "thunderstorm.wav")
    print("\nBoth together: the phrase as text, and the ninth voice saying it.")
    both = check("railway station", words, "railway station", "--audio", OUT / "queries" / "railway-station.wav")
    if not (typed and spoken and both):
        sys.exit("\nA query's best hit is wrong: please report this, with the output above.")


def own(recordings: Path, term: str) -> None:
    """The same over the user's folder."""
    stdsearch("index", recordings, "--out", ARCHIVE)
    if term:
        stdsearch("query", ARCHIVE, term)


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
    print(
        f"""
Try next:
  .venv/bin/stdsearch query {ARCHIVE} "any word" "or a phrase"
  .venv/bin/stdsearch query {ARCHIVE} "any word" --clips demo/clips     each hit as a WAV to listen to
  .venv/bin/stdsearch info {ARCHIVE}
  make demo AUDIO=a/folder/of/yours TERM="a phrase"""
    )


if __name__ == "__main__":
    main()
