"""The content filter finds whole words and patterns, asks the classifier, and says what it found."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from entrotune.decoding.classifiers import SequenceClassifier
from entrotune.decoding.content import ContentFilter, read_filter
from entrotune.errors import UserError
from tiny import SHAPE, byte_tokenizer


def classifier_folder(folder: Path, labels: dict[int, str], *, always: float) -> Path:
    """A classifier that gives its last label the logit `always` and others 0, whatever it reads."""
    config = LlamaConfig(**SHAPE, num_labels=len(labels), id2label=labels)
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        model.score.weight.zero_()
        model.model.norm.weight.fill_(1)
        model.model.embed_tokens.weight[:, 0] = 5.0
        model.score.weight[-1, 0] = always
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_words_are_whole_words_in_any_case_and_spacing() -> None:
    found = ContentFilter({"rude": ["ass", "bad  word"]})
    assert found.find("a classic passage, assessed") is None
    removal = found.find("what an ASS.")
    assert removal is not None
    assert (removal.category, removal.rule, removal.found) == ("rude", "ass", "ASS")
    assert removal.reason == "content: rude (ass found 'ASS')"
    assert found.find("a bad\nword here") is not None
    assert found.find("a bad, word") is None
    assert found.find("naïve ass") is not None
    assert found.find("assé") is None  # é is part of the word


@pytest.mark.parametrize(
    "text",
    ["a b\u200bad word", "a \uff42ad word", "a ba\u00add word", "bad\u00a0word", "un cafe\u0301 noir", "un café noir"],
)
def test_disguised_words_are_found(text: str) -> None:
    assert ContentFilter({"rude": ["bad word"], "drinks": ["cafe\u0301"]}).find(text) is not None
    assert ContentFilter({"rude": ["/bad word/"], "drinks": ["/café/"]}).find(text) is not None


def test_another_word_is_not_found_for_its_letters_without_accents() -> None:
    assert ContentFilter({"drinks": ["cafe"]}).find("un cafe\u0301 noir") is None


def test_patterns_between_slashes() -> None:
    found = ContentFilter({"numbers": [r"/\b\d{3}-\d{4}\b/"], "names": ["C++"]})
    assert found.find("call 555-1234 now") is not None
    assert found.find("call 5555-12345") is None
    assert found.find("I like C++.") is not None


def test_the_classifier_decides_by_its_limits() -> None:
    found = ContentFilter(classifier=lambda text: {"toxic": 0.8 if "!" in text else 0.1}, limits={"toxic": 0.5})
    assert found.find("calm") is None
    removal = found.find("loud!")
    assert removal is not None
    assert removal.reason == "content: toxic (limit 0.5 found '0.800')"
    with pytest.raises(UserError, match="no label 'rude'; it has toxic"):
        ContentFilter(classifier=lambda text: {"toxic": 0.1}, limits={"rude": 0.5}).find("x")


def test_a_real_classifier_from_a_file(tmp_path: Path) -> None:
    model = classifier_folder(tmp_path / "judge", {0: "fine", 1: "toxic"}, always=3.0)
    path = tmp_path / "filter.yaml"
    path.write_text(f"categories: {{}}\nclassifier: {{model: {model}, limits: {{toxic: 0.5}}}}\n", encoding="utf-8")
    removal = read_filter(path, SequenceClassifier).find("anything")
    assert removal is not None
    assert removal.category == "toxic"
    assert sum(SequenceClassifier(str(model), device="cpu")("anything").values()) == pytest.approx(1)


def test_rewards_need_one_number(tmp_path: Path) -> None:
    one = SequenceClassifier(str(classifier_folder(tmp_path / "one", {0: "reward"}, always=1.0)), device="cpu")
    turns = [{"role": "user", "content": "Hi"}]
    assert isinstance(one.reward(turns, "Hello"), float)
    two = SequenceClassifier(str(classifier_folder(tmp_path / "two", {0: "a", 1: "b"}, always=1.0)), device="cpu")
    with pytest.raises(UserError, match="has 2 labels"):
        two.reward(turns, "Hello")
    with pytest.raises(UserError, match="more than the 512"):
        one("x" * 600)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("categories: {a: ['/[/']}", "not a regular expression"),
        ("categories: {a: ['']}", "empty entry"),
        ("categories: {a: word}", "expected a list"),
        ("words: [a]", "unknown words"),
        ("classifier: {model: x, limits: {a: 2}}", "must be a probability"),
        ("classifier: {limits: {a: 0.5}}", "belong together"),
    ],
)
def test_a_wrong_filter_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_filter(path, SequenceClassifier)
