"""`stdsearch pronounce`: how terms are pronounced, in the phones that other commands take."""

import json
import sys
from pathlib import Path

import click

from stdsearch.cli.text import field

EXAMPLES = {  # those of CMUdict
    "AA": "odd", "AE": "at", "AH": "hut", "AO": "ought", "AW": "cow", "AY": "hide", "B": "be", "CH": "cheese",
    "D": "dee", "DH": "thee", "EH": "ed", "ER": "hurt", "EY": "ate", "F": "fee", "G": "green", "HH": "he", "IH": "it",
    "IY": "eat", "JH": "gee", "K": "key", "L": "lee", "M": "me", "N": "knee", "NG": "ping", "OW": "oat", "OY": "toy",
    "P": "pee", "R": "read", "S": "sea", "SH": "she", "T": "tea", "TH": "theta", "UH": "hood", "UW": "two", "V": "vee",
    "W": "we", "Y": "yield", "Z": "zee", "ZH": "seizure",
}  # fmt: skip
COLUMNS = 5  # of the table of phones


def _phones() -> str:
    """The phones beside their words, a table that click leaves as it is."""
    cells = [f"{phone:2} {word:8}" for phone, word in EXAMPLES.items()]
    n_rows = -(-len(cells) // COLUMNS)
    return "\n".join(["\b", "The phones:", *("  ".join(cells[row::n_rows]).rstrip() for row in range(n_rows))])


@click.command(epilog=_phones())
@click.argument("terms", metavar="TERM...", nargs=-1, required=True)
@click.option(
    "--lexicon", metavar="FILE", type=click.Path(path_type=Path),
    help="Your own pronunciations, one `word PH PH PH` a line.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def pronounce(terms: tuple[str, ...], lexicon: Path | None, as_json: bool) -> None:
    """Tell the pronunciations by which each TERM is searched for, the likeliest first.

    What stands between slashes can be a term itself, in quotes; without its slashes, behind the word, it is a line of a
    --lexicon. In a pipe, term and phones are parted by a tab.
    """
    from stdsearch.pronounce import Pronouncer

    pronouncer = Pronouncer(lexicon)
    said = {term: [f"/{' '.join(phones)}/" for phones in pronouncer.pronounce(term)] for term in terms}
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    width = max(map(len, map(field, said)))
    for term, pronunciations in said.items():
        for rank, phones in enumerate(pronunciations):
            name = field(term)
            click.echo(f"{'' if rank else name:{width}}  {phones}" if sys.stdout.isatty() else f"{name}\t{phones}")
