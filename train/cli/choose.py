"""`stdsearch train choose`: sentences for synthetic voices."""

from pathlib import Path

import click

from stdsearch.errors import StdSearchError
from train.cli.options import FILE, check_folder


@click.command(no_args_is_help=True)
@click.argument("texts", type=FILE, nargs=-1, required=True)
@click.option("--data", type=FILE, required=True, help="Manifest of prepared speech that will be trained on beside.")
@click.option("--count", type=click.IntRange(min=1), default=2000, show_default=True, help="Sentences at most.")
@click.option("--out", type=FILE, required=True, help="Text to write, a sentence a line, for `stdsearch train render`.")
def choose(texts: tuple[Path, ...], data: Path, count: int, out: Path) -> None:
    """Choose the sentences of TEXTS whose words are rare in the speech to train on.

    TEXTS are UTF-8; a sentence ends with . ! or ? or its paragraph, at a blank line. Sentences with figures, with words
    that CMUdict lacks, or with words that only the data's dev and test parts have are left out. Needs `pip install
    'stdsearch[render]'`.
    """
    try:
        from train import choose as choice
    except ModuleNotFoundError as error:
        raise StdSearchError(f"{error.name}: is not installed; run pip install 'stdsearch[render]'") from error
    from train.manifest import read_manifest

    check_folder(out)
    utterances = read_manifest(data)
    chosen = choice.choose(choice.sentences(texts), utterances, count)
    if not chosen:
        raise StdSearchError(f"{texts[0]}: no sentence can be used; give prose of {choice.WORDS[0]} words a sentence")
    choice.write_sentences(out, chosen)
    known = {word.text.lower() for utterance in utterances for word in utterance.words}
    new = {word for sentence in chosen for word in sentence.words} - known
    click.echo(f"{out}: {len(chosen)} sentences, {len(new)} words that the data lacks", err=True)
