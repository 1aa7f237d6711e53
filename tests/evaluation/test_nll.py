"""Likelihoods equal a plain float64 computation, however rows are batched."""

import math
from typing import Any

import pytest
import torch

from entrotune.data import Example, Prompt
from entrotune.errors import UserError
from entrotune.evaluation import evaluate_nll, sample_nll
from entrotune.evaluation.nll import _batches
from evaluation.drawn import drawn

# float32 logits through float64 sums: errors of about 1e-6 a token over at most 40 tokens.
TOLERANCE = 1e-4


def examples_of(seed: int = 1) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number, length in enumerate([5, 40, 17, 2, 17, 33, 9]):
        ids = torch.randint(3, 300, (length,), generator=generator).tolist()
        supervised = (torch.rand(length, generator=generator) < 0.6).tolist()
        supervised[0] = False
        labels = [token if keep else -100 for token, keep in zip(ids, supervised, strict=True)]
        found.append(Example(f"row-{number}", tuple(ids), tuple(labels)))
    return found


def plainly(model: Any, example: Example, temperature: float) -> tuple[float, float, int, int]:
    """NLL, entropy, hits and tokens from the model's own full logits, one example at a time, in float64."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([example.input_ids])).logits[0, :-1].double() / temperature
    log_p = logits.log_softmax(-1)
    nll = entropy = 0.0
    top1 = tokens = 0
    for position, label in enumerate(example.labels[1:]):
        if label != -100:
            nll -= float(log_p[position, label])
            entropy -= float((log_p[position].exp() * log_p[position]).sum())
            top1 += int(logits[position].argmax()) == label
            tokens += 1
    return nll, entropy, top1, tokens


@pytest.mark.parametrize("kind", ["model", "capped_model"])
def test_equals_a_plain_computation(kind: str, tokenizer: Any, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    examples = examples_of()
    # Make some labels the likeliest token, so that hits are counted too.
    with torch.no_grad():
        best = model(input_ids=torch.tensor([examples[1].input_ids])).logits[0].argmax(-1).tolist()
    examples[1] = Example("row-1", examples[1].input_ids, (-100, *best[:20], *examples[1].labels[21:]))
    scores = evaluate_nll(model, tokenizer, examples, temperatures=(0.5, 1.0, 1.7), batch_tokens=70)
    assert [score.id for score in scores] == [example.id for example in examples]
    assert sum(score.top1 for score in scores) >= 20
    for example, score in zip(examples, scores, strict=True):
        for position, temperature in enumerate((0.5, 1.0, 1.7)):
            nll, entropy, top1, tokens = plainly(model, example, temperature)
            assert score.nll[position] == pytest.approx(nll, abs=TOLERANCE)
            assert score.entropy[position] == pytest.approx(entropy, abs=TOLERANCE)
            assert (score.top1, score.tokens) == (top1, tokens)


@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_batching_changes_nothing(model: Any, tokenizer: Any, batch_tokens: int) -> None:
    examples = examples_of()
    alone = [evaluate_nll(model, tokenizer, [example])[0] for example in examples]
    together = evaluate_nll(model, tokenizer, examples, batch_tokens=batch_tokens)
    for one, other in zip(alone, together, strict=True):
        assert (one.id, one.tokens, one.top1) == (other.id, other.tokens, other.top1)
        assert one.nll[0] == pytest.approx(other.nll[0], abs=TOLERANCE)


@pytest.mark.parametrize("batch_tokens", [1, 64, 100])
def test_batches_hold_every_row_once_and_no_more_tokens_than_asked(batch_tokens: int) -> None:
    examples = examples_of()
    batches = list(_batches(examples, batch_tokens))
    assert sorted(index for batch in batches for index in batch) == list(range(len(examples)))
    for batch in batches:
        longest = max(len(examples[index].input_ids) for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens


def test_modes_of_every_module_are_restored(model: Any, tokenizer: Any) -> None:
    model.train()
    model.model.layers[0].eval()
    before = [module.training for module in model.modules()]
    first = evaluate_nll(model, tokenizer, examples_of())
    assert [module.training for module in model.modules()] == before
    assert first == evaluate_nll(model, tokenizer, examples_of())  # dropout was off
    assert all(parameter.grad is None for parameter in model.parameters())


def test_nothing_to_score(model: Any, tokenizer: Any) -> None:
    assert evaluate_nll(model, tokenizer, []) == []
    (score,) = evaluate_nll(model, tokenizer, [Example("none", (5, 6), (-100, -100))])
    assert (score.tokens, score.nll, score.entropy) == (0, (0.0,), (0.0,))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_above_zero(model: Any, tokenizer: Any, temperature: float) -> None:
    with pytest.raises(UserError, match="temperature above 0"):
        evaluate_nll(model, tokenizer, examples_of(), temperatures=(temperature,))


def test_samples_are_judged_after_their_prompt(model: Any, tokenizer: Any) -> None:
    prompts = [
        Prompt(id=name, messages=(), text="", input_ids=ids, references=(), checker=None)
        for name, ids in (("a", (5, 6, 7)), ("b", (8, 9)))
    ]
    responses = [("b", (20, 21, 2)), ("a", (20, 21, 2)), ("b", (20, 21, 2)), ("a", (30,))]
    samples = [drawn(name, token_ids=ids) for name, ids in responses]
    scores = sample_nll(model, tokenizer, prompts, samples)
    asked = {prompt.id: prompt.input_ids for prompt in prompts}
    for (name, ids), score in zip(responses, scores, strict=True):
        example = Example(name, (*asked[name], *ids), (*[-100] * len(asked[name]), *ids))
        assert score.nll[0] == pytest.approx(plainly(model, example, 1.0)[0], abs=TOLERANCE)
        assert score.tokens == len(ids)
    assert scores[0].nll != scores[1].nll
