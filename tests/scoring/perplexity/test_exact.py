"""Equal to float64 with all logits, one window at a time, and to the rolling likelihood of lm-eval."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from entrotune.experiments.perplexity import perplexity
from scoring.perplexity.by_definition import double, log_p, pseudo_nll, token_nll
from scoring.perplexity.conftest import ending_tokenizer, masking_tokenizer
from tolerances import EXACT

TEXT = "To be, or not to be: naïve café 💡, that is the question.  Whether\n'tis nobler in the mind to suffer " * 2


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("max_length", "stride"), [(32, 1), (32, 7), (32, 32), (512, 100)])
def test_causal(max_length: int, stride: int, text: str, sharp_model: Any, model_folder: Path, tokenizer: Any) -> None:
    found = perplexity(text, model=str(model_folder), max_length=max_length, stride=stride, precision="float64")
    model, ids = double(sharp_model), tokenizer(TEXT)["input_ids"]
    expected, stop = 0.0, min(max_length, len(ids) - 1)
    for token in range(1, len(ids)):
        while token > stop:
            stop = min(stop + stride, len(ids) - 1)
        expected += token_nll(model, ids, token, context=token - max(0, stop - max_length))
    (one,) = found["models"]
    assert one["counts"]["tokens_scored"] == len(ids) - 1
    assert one["counts"]["tokens_unscored"] == 1
    np.testing.assert_allclose(one["nll_sum"], expected, **EXACT)
    size = len(TEXT.encode()) - 1
    values = {name: estimate["value"] for name, estimate in one["measures"].items()}
    np.testing.assert_allclose(values["perplexity"], math.exp(expected / (len(ids) - 1)), **EXACT)
    np.testing.assert_allclose(values["byte_perplexity"], math.exp(expected / size), **EXACT)
    np.testing.assert_allclose(values["bits_per_byte"], expected / math.log(2) / size, **EXACT)
    np.testing.assert_allclose(values["word_perplexity"], math.exp(expected / len(TEXT[1:].split())), **EXACT)
    np.testing.assert_allclose(values["character_perplexity"], math.exp(expected / (len(TEXT) - 1)), **EXACT)


@pytest.mark.parametrize(("max_length", "bos"), [(64, "always"), (17, "always"), (512, "always"), (40, "eos")])
def test_equal_to_the_rolling_likelihood_of_lm_eval(
    max_length: int, bos: str, tmp_path: Path, sharp_model: Any, tokenizer: Any, model_folder: Path
) -> None:
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import bits_per_byte, weighted_perplexity

    texts = [TEXT.strip(), "short", TEXT[:100].strip()]
    prefix = {"always": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}[bos]
    oracle = huggingface.HFLM(
        pretrained=double(sharp_model),
        tokenizer=tokenizer,
        max_length=max_length,
        batch_size=2,
        device="cpu",
        prefix_token_id=prefix,
    )
    requests = [Instance("loglikelihood_rolling", {}, (one,), at) for at, one in enumerate(texts)]
    likelihoods = oracle.loglikelihood_rolling(requests, disable_tqdm=True)
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts), encoding="utf-8")
    found = perplexity(
        str(path), model=str(model_folder), max_length=max_length, stride=max_length, bos=bos, precision="float64"
    )
    values = {name: estimate["value"] for name, estimate in found["models"][0]["measures"].items()}
    words = [(nll, len(one.split())) for nll, one in zip(likelihoods, texts, strict=True)]
    size = [(nll, len(one.encode())) for nll, one in zip(likelihoods, texts, strict=True)]
    np.testing.assert_allclose(found["models"][0]["nll_sum"], -sum(likelihoods), **EXACT)
    np.testing.assert_allclose(values["bits_per_byte"], bits_per_byte(size), **EXACT)
    # exp() of hundreds of nats a word multiplies the rounding by as much.
    assert values["word_perplexity"] == pytest.approx(weighted_perplexity(words), rel=1e-8)
    assert values["byte_perplexity"] == pytest.approx(weighted_perplexity(size), rel=1e-8)


def test_the_size_of_a_batch_changes_nothing(model_folder: Path, rows: Callable[..., str]) -> None:
    data = rows(*({"text": TEXT[: 5 + 11 * at]} for at in range(12)))
    options: dict[str, Any] = {"model": str(model_folder), "max_length": 40, "stride": 10, "precision": "float64"}
    one, some, all = (perplexity(data, batch_tokens=size, **options)["models"][0] for size in (1, 130, 100_000))
    assert one["counts"] == some["counts"] == all["counts"]
    for other in (some, all):
        np.testing.assert_allclose(one["nll_sum"], other["nll_sum"], **EXACT)


def test_given_a_context(sharp_model: Any, model_folder: Path, tokenizer: Any, rows: Callable[..., str]) -> None:
    data = rows(
        {"prompt": "What is it?", "completion": " Tea."},
        {"prompt": "A longer one, with more words. " * 3, "completion": " Yes!"},
    )
    found = perplexity(data, model=str(model_folder), context_column="prompt", max_length=20, precision="float64")
    model, expected = double(sharp_model), 0.0
    for prompt, answer in (("What is it?", " Tea."), ("A longer one, with more words. " * 3, " Yes!")):
        ids = tokenizer(prompt + answer)["input_ids"]
        first = len(ids) - len(answer)
        stop = 20 if first <= 20 else len(ids) - 1
        expected += sum(
            token_nll(model, ids, token, context=token - max(0, min(stop, len(ids) - 1) - 20))
            for token in range(first, len(ids))
        )
    (one,) = found["models"]
    assert one["counts"]["tokens_scored"] == 10
    assert (one["counts"]["bytes"], one["counts"]["words"], one["counts"]["tokens_unscored"]) == (10, 2, 0)
    np.testing.assert_allclose(one["nll_sum"], expected, **EXACT)


def test_a_fixed_context_equals_one_in_a_column(model_folder: Path, rows: Callable[..., str]) -> None:
    options: dict[str, Any] = {"model": str(model_folder), "precision": "float64", "separator": "\n"}
    fixed = perplexity(rows({"text": "one"}, {"text": "two"}), context="Count:", **options)
    column = perplexity(
        rows({"text": "one", "before": "Count:"}, {"text": "two", "before": "Count:"}),
        context_column="before",
        **options,
    )
    assert fixed["models"][0]["nll_sum"] == column["models"][0]["nll_sum"]
    assert fixed["models"][0]["counts"]["tokens_unscored"] == 0


def test_only_spans(sharp_model: Any, model_folder: Path, tokenizer: Any, text: str) -> None:
    spans = [[3, 5], [30, 41], [180, 184]]
    found = perplexity(text, model=str(model_folder), spans=spans, max_length=64, stride=1, precision="float64")
    encoded = tokenizer(TEXT, return_offsets_mapping=True)
    ids, model = encoded["input_ids"], double(sharp_model)
    wanted = [
        token
        for token, (start, end) in enumerate(encoded["offset_mapping"])
        if any(start < high and end > low for low, high in spans)
    ]
    expected = sum(token_nll(model, ids, token, context=min(token, 64)) for token in wanted)
    (one,) = found["models"]
    assert one["counts"]["tokens_scored"] == len(wanted)
    assert one["counts"]["characters"] == 17
    assert one["counts"]["bytes"] == sum(len(TEXT[low:high].encode()) for low, high in spans)
    np.testing.assert_allclose(one["nll_sum"], expected, **EXACT)


def test_spans_of_each_row(model_folder: Path, rows: Callable[..., str]) -> None:
    data = rows({"text": "abcdef", "s": [[2, 4]]}, {"text": "ghijkl", "s": [[1, 2], [5, 6]]})
    found = perplexity(data, model=str(model_folder), spans_column="s", precision="float64")
    halves = [
        perplexity(rows({"text": text}), model=str(model_folder), spans=spans, precision="float64")
        for text, spans in (("abcdef", [[2, 4]]), ("ghijkl", [[1, 2], [5, 6]]))
    ]
    assert found["models"][0]["counts"]["tokens_scored"] == 4
    total = sum(half["models"][0]["nll_sum"] for half in halves)
    np.testing.assert_allclose(found["models"][0]["nll_sum"], total, **EXACT)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("batch_tokens", [1, 1000])
def test_pseudo_perplexity(
    family: str,
    batch_tokens: int,
    request: pytest.FixtureRequest,
    folder_of: Callable[[Any, Any], str],
    rows: Callable[..., str],
) -> None:
    model, tokenizer = request.getfixturevalue(family), masking_tokenizer()
    texts = ["a", "the cat sat on the mat", "café"]
    found = perplexity(
        rows(*({"text": one} for one in texts)),
        model=folder_of(model, tokenizer),
        precision="float64",
        batch_tokens=batch_tokens,
    )
    exact, expected, tokens = double(model), 0.0, 0
    for one in texts:
        ids = tokenizer(one)["input_ids"]
        tokens += len(ids) - 2
        expected += sum(pseudo_nll(exact, ids, at, tokenizer.mask_token_id) for at in range(1, len(ids) - 1))
    (told,) = found["models"]
    assert told["family"] == "masked"
    assert (told["counts"]["tokens_scored"], told["counts"]["sequences"]) == (tokens, tokens)
    np.testing.assert_allclose(told["nll_sum"], expected, **EXACT)


def test_pseudo_perplexity_of_a_long_text(bert: Any, folder_of: Callable[[Any, Any], str], text: str) -> None:
    tokenizer = masking_tokenizer()
    found = perplexity(text, model=folder_of(bert, tokenizer), max_length=12, precision="float64")
    exact, expected = double(bert), 0.0
    inner = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    for at in range(len(inner)):
        start = min(max(at - 5, 0), len(inner) - 10)
        ids = [1, *inner[start : start + 10], 2]
        expected += pseudo_nll(exact, ids, at - start + 1, tokenizer.mask_token_id)
    np.testing.assert_allclose(found["models"][0]["nll_sum"], expected, **EXACT)


@pytest.mark.parametrize("batch_tokens", [1, 1000])
def test_encoder_decoder(
    batch_tokens: int, t5: Any, folder_of: Callable[[Any, Any], str], rows: Callable[..., str]
) -> None:
    tokenizer = ending_tokenizer()
    pairs = [("good day", "bonjour"), ("x", "une phrase plus longue"), ("a cat on a mat", "chat")]
    found = perplexity(
        rows(*({"prompt": source, "completion": target} for source, target in pairs)),
        model=folder_of(t5, tokenizer),
        context_column="prompt",
        precision="float64",
        batch_tokens=batch_tokens,
    )
    exact, expected = double(t5), 0.0
    for source, target in pairs:
        ids = tokenizer(target, add_special_tokens=False)["input_ids"]
        told = log_p(
            exact,
            input_ids=torch.tensor([tokenizer(source)["input_ids"]]),
            decoder_input_ids=torch.tensor([[0, *ids[:-1]]]),
        )
        expected -= float(told[torch.arange(len(ids)), torch.tensor(ids)].sum())
    (one,) = found["models"]
    assert (one["family"], one["counts"]["tokens_scored"]) == ("encoder_decoder", 7 + 22 + 4)
    np.testing.assert_allclose(one["nll_sum"], expected, **EXACT)
