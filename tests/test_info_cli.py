import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from indexer.build import build_archive
from indexer.removal import remove_recordings
from indexer.sources import find_sources
from stdsearch.cli.info import _size, info
from stdsearch.encoder import EncoderSettings, SpanEncoder, save_encoder
from stdsearch.errors import StdSearchError
from stdsearch.slicing import SlicingSettings

FACTS = {"recordings": 2, "channels": 3, "hours": 9 / 3600}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    encoder = SpanEncoder(EncoderSettings(channels=16, dilations=(1,), hidden=8, parts=2, dim=8, head=16))
    save_encoder(encoder, tmp_path / "tiny.safetensors")
    for name, seconds, channels in (("a.wav", 6, 1), ("b.wav", 3, 2)):
        noise = 0.1 * np.random.default_rng(0).normal(size=(16000 * seconds, channels))
        soundfile.write(tmp_path / name, noise, 16000)
    sources = find_sources([tmp_path])
    everything = SlicingSettings(speech_only=False)
    build_archive(
        sources, tmp_path / "archive", encoder, encoder_file=tmp_path / "tiny.safetensors", settings=everything
    )
    return tmp_path / "archive"


def test_json_tells_contents_sizes_and_encoder(archive: Path) -> None:
    result = CliRunner().invoke(info, [str(archive), "--json"])
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert {name: facts[name] for name in FACTS} == FACTS
    for role in ("segments", "frames", "spans", "vectors"):
        n_bytes = sum(path.stat().st_size for path in [*archive.glob(f"{role}.*"), *archive.glob(f"{role}/*")])
        assert facts["bytes"][role] == n_bytes
        assert facts["bytes_per_hour"][role] == round(n_bytes / FACTS["hours"])
    assert facts["bytes"]["all"] == sum(
        path.stat().st_size for path in archive.rglob("*") if path.is_file() and path.name != "archive.json"
    )
    assert facts["encoder"]["name"] == "tiny"
    assert facts["settings"]["slicing"]["speech_only"] is False
    assert "path" in facts["columns"]
    assert facts["problems"] == []


def test_the_page_has_a_line_for_each(archive: Path) -> None:
    result = CliRunner().invoke(info, [str(archive)])
    assert result.exit_code == 0
    lines = dict(line.strip().split("  ", 1) for line in result.stdout.splitlines())
    assert lines["recordings"].strip() == "2, 3 channels, 0.00 hours"
    assert lines["health"].strip() == "every part is there, of the size it had"


def test_the_sizes_of_all_parts_are_on_the_page(archive: Path) -> None:
    sizes = json.loads(CliRunner().invoke(info, [str(archive), "--json"]).stdout)["bytes"]
    lines = CliRunner().invoke(info, [str(archive)]).stdout.splitlines()
    shown = {line.split()[0]: line.split(maxsplit=1)[1].split(",")[0] for line in lines if line.startswith("  ")}
    assert shown == {role: _size(n_bytes) for role, n_bytes in sizes.items() if role != "all"}


def test_segments_of_removed_recordings_are_told(archive: Path) -> None:
    n_segments = json.loads(CliRunner().invoke(info, [str(archive), "--json"]).stdout)["segments"]
    remove_recordings(archive, ["a"])
    facts = json.loads(CliRunner().invoke(info, [str(archive), "--json"]).stdout)
    assert (facts["generation"], facts["segments"] + facts["removed_segments"]) == (2, n_segments)
    page = CliRunner().invoke(info, [str(archive)]).stdout
    assert f"(shards: 1; removed and not yet compacted: {facts['removed_segments']})" in page


def test_a_damaged_archive_is_told_part_by_part(archive: Path) -> None:
    (archive / "spans.npy").unlink()
    (archive / "frames" / "00000.arrow").write_bytes(b"")
    result = CliRunner().invoke(info, [str(archive)])
    assert result.exit_code == 1
    assert "spans.npy: a part of the archive is missing" in result.stdout
    assert "00000.arrow: has 0 bytes, not" in result.stdout


def test_a_catalog_that_is_no_table_is_told_beside_the_rest(archive: Path) -> None:
    catalog = archive / "catalog.parquet"
    catalog.write_bytes(bytes(catalog.stat().st_size))
    result = CliRunner().invoke(info, [str(archive)])
    assert result.exit_code == 1
    assert "catalog.parquet: is damaged" in result.stdout
    assert "recordings" in result.stdout


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(info, [str(tmp_path / "nowhere")])
    assert isinstance(result.exception, StdSearchError)
