from report import failures, jmcl, latency, life, pairs, phrases, probabilities, robustness, samediff, speakers

ABOUT = {"system": "mine", "trained_on": "my data, 1 h", "tested_on": "dev", "cut": True}


def test_a_system_stands_beside_published_figures_with_its_data():
    precision = {"tokens": 5, "acoustic_ap": 0.5, "acoustic_ap_different_speaker": None, "crossmodal_ap": 0.75}
    table = jmcl([ABOUT | {"IV": precision}])
    assert "| mine, cut | my data, 1 h | dev | 5 / 0 | 50.00 | – | 75.00 | – | – / – |" in table
    assert "| LibriSpeech train-clean-100, 100 h | test-clean |  | 85.05 | 94.06 | 98.66 | 99.46 |" in table

    table = pairs([ABOUT | {"positives": 9, "negatives": 450, "ap": 0.5, "ap_by_seed": {"0": 0.4, "1": 0.6}}])
    assert "| mine, cut | my data, 1 h | dev | 9 | 450 | 50.00 | 40.00 to 60.00 |" in table
    assert "| King-ASR-066, 4,600 h | WSJ | 18k | 50 times | 90.24 |" in table

    figures = {f"{figure}_{kind}": 0.25 for figure in ("ap", "prb") for kind in ("sw", "swsp", "swdp")}
    table = samediff([ABOUT | figures])
    assert table.splitlines()[2] == "| mine, cut | my data, 1 h | dev |" + " 25.00 |" * 6


def test_phrase_trials_are_told_with_enrolment_expansion_and_repetition():
    counts = {"n_trials": 8, "n_distinct": 6, "eer": 0.1, "auc": 0.9, "eer_distinct": 0.2, "auc_distinct": 0.8}
    trials = [{"set": name, "enrolment": "TA", "expansion": 2} | counts for name in ("LP-E", "LP-H")]
    shown = ("clips", "phrases", "phrases_of_two_speakers", "episodes", "rows_positive", "rows_easy", "rows_hard")
    held = {"1": dict.fromkeys(shown, 3) | {"hard_distance": None}}
    result = ABOUT | {"scorer": "verifier", "trials": trials, "words": held}
    table = phrases([result]).splitlines()
    about = "| mine, verifier, cut | TA, 2 | my data, 1 h | dev |"
    assert table[2] == f"{about} all | 8 / 8 | 10.00 | 10.00 | 90.00 | 90.00 |"
    assert table[3] == f"{about} distinct | 6 / 6 | 20.00 | 20.00 | 80.00 | 80.00 |"
    plcl = "| PLCL | TA | LibriSpeech train-clean-100 and -360, 460 h; Whisper-tiny | LibriPhrase, official |"
    assert f"{plcl} not said |  | 0.57 | 8.47 | 99.97 | 96.59 |" in table
    assert table[-1] == "| dev | 1 |" + " 3 |" * 7 + " – |"


def test_a_spoilt_condition_stands_with_its_loss_and_the_clean_one_without():
    figures = dict.fromkeys(("mtwv", "atwv", "map", "fom", "stwv"), 0.5)
    lost = {"lost": {"mtwv": [0.1, -0.05, 0.2], "map": [0.25, 0.2, 0.3]}}
    result = {
        "asked": {"text": 40}, "seed": 3, "encoder": "abc",
        "rooms": {"small": {"metres": [4, 3, 2.5], "t60": 0.3, "metres_away": 1.5, "direct_to_reverberant_db": -6.0}},
        "conditions": {
            name: about | {"systems": {"text": figures | lost}}
            for name, about in (("clean", {"kbits": 512.0}), ("one long file", {}))
        },
    }  # fmt: skip
    lines = robustness(result).splitlines()
    assert lines[0].startswith(
        "40 terms by text, drawn with seed 3; encoder abc. Rooms: small: 4 × 3 × 2.5 m, T60 0.3 s"
    )
    assert "| clean | 512.0 | text |" + " 0.500 |" * 5 + " – | – |" in lines
    both = " 0.100 (-0.050 to 0.200) | 0.250 (0.200 to 0.300) |"
    assert "| one long file | – | text |" + " 0.500 |" * 5 + both in lines


def test_speakers_stand_below_their_corpus():
    figures = dict.fromkeys(("mtwv", "atwv", "map", "fom", "stwv"), 0.5) | {"targets": 7}
    figures["interval_95"] = {"mtwv": [0.4, 0.6]}
    about = {"corpus": "read", "seconds": 90}
    groups = [about | {"speaker": "", "speakers": 2} | figures, about | {"speaker": "anna", "speakers": 1} | figures]
    lines = speakers({"systems": {"text": groups}}).splitlines()
    assert lines[2] == "| read | all 2 | 90 | text | 7 |" + " 0.500 |" * 5 + " 0.400 to 0.600 |"
    assert lines[3].startswith("| read | anna | 90 |")


def test_failures_are_told_by_kind_and_by_word():
    alarms = [{"said": "doctors", "kind": "an inflection"}, {"said": "dock", "kind": "other sounds"}]
    worst = {"term": "doctor", "targets": 2, "misses": {"no candidate": 1}, "value": -0.5, "ap": 0.25}
    result = {
        "misses": {"no candidate": 1},
        "false_alarms": {"an inflection": 1},
        "false_hits": {"an inflection": 3, "other sounds": 4},
        "as_scored": {"mtwv": 0.5},
        "forgiven": {"mtwv": 0.6},
        "worst_terms": [worst | {"false_alarms": alarms}],
        "surest_false_hits": [{"term": "doctor", "score": 0.9, "said": "doctors", "kind": "an inflection"}],
    }
    lines = failures(result).splitlines()
    assert "| missed: no candidate | 1 |  |" in lines
    assert "| other sounds | 0 | 4 |" in lines
    assert "| doctor | 2 | 1 | -0.500 | 0.250 | doctors (an inflection); dock (other sounds) |" in lines
    assert "| doctor | 0.900 | doctors | an inflection |" in lines
    assert "As scored: MTWV 0.500. Without what a listener would hardly call wrong: MTWV 0.600." in lines


def test_probabilities_of_systems_stand_side_by_side():
    def part(*bins: tuple[float, float]) -> dict:
        rows = [{"from": low, "to": high, "hits": 5, "predicted": 0.25, "true": 0.5} for low, high in bins]
        costs = [{"beta": 10.0, "atwv": 0.7, "mtwv": 0.8}]
        return {"cnxe": 0.4, "min_cnxe": 0.3, "reliability": rows, "costs": costs}

    lines = probabilities({"systems": {"text": part((0, 0.1), (0.1, 1)), "audio1": part((0.1, 1))}}).splitlines()
    assert "| 0 to 0.1 | 5 | 0.250 / 0.500 |  | – |" in lines
    assert "| 0.1 to 1 | 5 | 0.250 / 0.500 | 5 | 0.250 / 0.500 |" in lines
    assert lines[-1] == "| audio1 | 0.400 | 0.300 | 0.700 / 0.800 |"


def test_latency_is_told_by_size_and_against_torch():
    times = [f"{clock}ms_p{percent}" for clock in ("", "again_", "cpu_") for percent in (50, 95)]
    size = dict.fromkeys((*times, "opening_seconds", "nearest_cpu_ms_p50", "peak_gib", "own_gib"), 1.5)
    size |= {"hours": 10.7, "segments": 3_456_471, "kwlist_ms_a_term": 4.5, "kwlist_cpu_ms_a_term": 8.25, "depth": 321}
    size |= {"kwlist_shown_ms_a_term": 2.5, "kwlist_shown_cpu_ms_a_term": 5.0, "depth_shown": 60}
    size |= {"vectors": {"kind": "ivf-pq", "n_lists": 2048, "n_probe": 184}, "pages_read_a_term": 906}
    cold = {
        "query": {"seconds": 2.5, "cpu_seconds": 2.4},
        "torch": {"seconds": 1.75, "cpu_seconds": 1.6},
        "hours": 10.7,
    }
    machine = {"load_average": 0.5, "disk_reads_a_second": 7043}
    lines = latency({"sizes": [size], "cold": cold, **machine}).splitlines()
    row = (
        "| 10.7 | 3,456,471 | ivf-pq, 184 of 2048 lists |"
        + " 1.500 |" * 8
        + " 906 | 2.5 / 5.0, 60 places | 4.5 / 8.25, 321 places | 1.5, 1.5 |"
    )
    assert lines[2] == row
    confined = {"sizes": [size], "confined": size, "memory_gib": 12.0, "cold": cold, **machine}
    assert latency(confined).splitlines()[2:4] == [row, row.replace("| 10.7 |", "| 10.7, of 12 GiB of memory |")]
    assert "2.50 s, 2.40 s of CPU, 1.50 times what a process that imports torch takes (1.75 s, 1.60 s" in lines[6]


def test_the_life_of_an_archive_has_a_column_for_each_and_gaps_where_a_step_was_not_taken():
    step = {"seconds": 2.0, "cpu_seconds": 1.5, "peak_mib": 512.0, "own_mib": 256.0}
    archives = [
        {"hours": hours, "recordings": 1000, "gib": 0.5, "steps": dict.fromkeys(steps, step)}
        for hours, steps in ((10.0, ("verify", "compact")), (999.9, ("verify",)))
    ]
    lines = life({"archives": archives}).splitlines()
    assert lines[0].endswith("| 10 h, 1,000 recordings, 0.5 GiB | 999.9 h, 1,000 recordings, 0.5 GiB |")
    assert lines[2:] == [
        "| verify | 2 / 1.5 / 0.5 / 0.2 | 2 / 1.5 / 0.5 / 0.2 |",
        "| compact | 2 / 1.5 / 0.5 / 0.2 |  |",
    ]
