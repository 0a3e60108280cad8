import json
from pathlib import Path

import pytest
from ablation import spent, summarise


def test_the_minutes_of_a_run_that_was_resumed_add_up(tmp_path: Path) -> None:
    """Stopped after 90 s, resumed twice: its seconds begin anew."""
    seconds = [60, 90, 30, 120, 45]
    lines = [json.dumps({"step": 50 * (i + 1), "seconds": s}) for i, s in enumerate(seconds)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert spent(tmp_path) == {"minutes": pytest.approx((90 + 120 + 45) / 60, abs=0.05), "steps": 250}


def test_seeds_are_summed_up_by_variant() -> None:
    runs = [
        {"variant": "paper", "figures": {"ap": 0.5}},
        {"variant": "clap", "figures": {"ap": 0.25}},
        {"variant": "paper", "figures": {"ap": 0.75}},
    ]
    assert summarise(runs) == {
        "paper": {"ap": {"mean": 0.625, "least": 0.5, "most": 0.75}},
        "clap": {"ap": {"mean": 0.25, "least": 0.25, "most": 0.25}},
    }
