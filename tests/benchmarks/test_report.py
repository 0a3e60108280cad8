from report import jmcl, pairs, phrases, samediff

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
