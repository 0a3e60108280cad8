"""`stdsearch train render`: synthetic voices to train on."""

from pathlib import Path

import click

from stdsearch.errors import StdSearchError
from train.cli.options import FILE


@click.command(no_args_is_help=True)
@click.argument("texts", type=FILE)
@click.option("--model", type=FILE, required=True, help="Kokoro-82M as kokoro-onnx has it (kokoro-v1.0.onnx).")
@click.option("--voices", type=FILE, required=True, help="Folder of its voices as kokoro-js has them (af_heart.bin).")
@click.option("--out", type=FILE, required=True, help="Folder to write audio and table.tsv to.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def render(texts: Path, model: Path, voices: Path, out: Path, threads: int | None) -> None:
    """Let synthetic voices say TEXTS, a line each, for `stdsearch train prepare table`.

    Each line has a voice of its own, mixed from those there are. Lines with words that CMUdict lacks are left out.
    An interrupted run goes on when started again. Needs `pip install 'stdsearch[render]'`.
    """
    try:
        from train.render import Kokoro, draw, write_table
        from train.render import render as speak
    except ModuleNotFoundError as error:
        raise StdSearchError(f"{error.name}: is not installed; run pip install 'stdsearch[render]'") from error
    from stdsearch.cli.progress import bars
    from stdsearch.threads import available_cores
    from train.prepare.source import text_lines

    kokoro = Kokoro(model, voices, threads or available_cores())
    lines, left_out = [], []
    for number, (place, text) in enumerate(text_lines(texts)):
        try:
            lines.append(draw(text, number, kokoro))
        except StdSearchError as error:
            left_out.append(f"{place}: {error}")
    if not lines:
        raise StdSearchError(
            f"{left_out[0] if left_out else texts}: and there is no other line; write a sentence a line"
        )
    with bars() as progress:
        rows = list(speak(progress.track(lines, description="speaking"), kokoro, out / "audio"))
    if not rows:
        raise StdSearchError(f"{model}: nothing can be heard of any line; copy it and the voices again")
    write_table(out / "table.tsv", rows)
    click.echo(f"{out / 'table.tsv'}: {len(rows)} utterances", err=True)
    if left_out:
        click.echo(f"left out: {len(left_out)} lines, the first {left_out[0]}", err=True)
