"""`stdsearch train calibrate`: how scores become probabilities."""

from pathlib import Path

import click

from train.cli.options import FILE, check_folder


@click.command()
@click.argument("archive", type=FILE)
@click.argument("task", type=FILE)
@click.option(
    "--out", type=FILE, required=True, help="Encoder, or verifier, to write: the one used, with its calibration."
)
@click.option("--verifier", type=FILE, help="Search with this verifier, and write it instead of the encoder.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def calibrate(archive: Path, task: Path, out: Path, verifier: Path | None, threads: int | None) -> None:
    """Fit how scores become probabilities, on dev.

    TASK is a directory with ecf.xml, ref.rttm, kwlist.xml and, for spoken queries, examples.tsv; ARCHIVE was made from
    its recordings.
    """
    from stdsearch.calibrate import to_json
    from stdsearch.cli.progress import bars
    from stdsearch.encoder import load_encoder, save_encoder
    from stdsearch.search import Archive
    from stdsearch.threads import available_cores, set_threads
    from stdsearch.verifier import load_verifier, save_verifier
    from train.calibrate import Task
    from train.calibrate import calibrate as fit

    check_folder(out)
    set_threads(threads or available_cores())
    opened = Archive.open(archive, verifier=load_verifier(verifier) if verifier else None)
    with bars() as progress:
        fitted = fit(Task.read(task), opened, lambda items: progress.track(items, description="Searching dev"))
    calibration = {"calibration": to_json(fitted)}
    if opened.verifier:
        save_verifier(opened.verifier, out, calibration)
    else:
        save_encoder(load_encoder(opened.reader.encoder_path), out, calibration)
