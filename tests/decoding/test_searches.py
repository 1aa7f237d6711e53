"""Contrastive search, beams in groups and choices: equal to slow references without cache or batch, in float64."""

import itertools
import math
from typing import Any

import pytest
import torch

from entrotune.decoding import Strategy, draw, stream
from entrotune.decoding.choices import Choices
from entrotune.errors import UserError
from tiny import byte_tokenizer, llama_saying, tiny_llama

PROMPTS = [(5, 6, 7), (8,), (9, 4, 3, 5, 8), (7, 6)]
END, WORDS = 2, range(2, 10)
Beam = tuple[float, tuple[int, ...]]


@pytest.fixture(scope="module")
def model() -> Any:
    """It can only say the tokens 2 (the end) to 9."""
    return llama_saying(WORDS)


def found(model: Any, text: str, prompts: list[tuple[int, ...]] = PROMPTS, *, index: int = 0, tokens: int = 8) -> list:
    streams = [stream(0, str(ids), index) for ids in prompts]
    return draw(model, byte_tokenizer(), prompts, streams, strategy=Strategy.of(text), max_new_tokens=tokens)


def ids_of(responses: list) -> list[tuple[int, ...]]:
    return [one.token_ids for one in responses]


@torch.no_grad()
def log_p(model: Any, ids: tuple[int, ...]) -> list[float]:
    return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).tolist()


@torch.no_grad()
def contrastive(model: Any, ids: tuple[int, ...], k: int, alpha: float, tokens: int = 8) -> tuple[int, ...]:
    """By the formula: every candidate's whole sequence through the model."""
    new: tuple[int, ...] = ()
    while len(new) < tokens and END not in new:
        chances = log_p(model, ids + new)
        values = {}
        for v in sorted(WORDS, key=lambda v: -chances[v])[:k]:
            hidden = model.model(torch.tensor([(*ids, *new, v)])).last_hidden_state[0]
            alike = max(float(torch.cosine_similarity(hidden[-1], one, dim=0)) for one in hidden[:-1])
            values[v] = (1 - alpha) * math.exp(chances[v]) - alpha * alike
        new += (max(values, key=values.__getitem__),)
    return new


@pytest.mark.parametrize(("k", "alpha"), [(2, 0.6), (4, 0.6), (8, 0.3), (5, 1)])
def test_contrastive_search_is_its_formula(model: Any, k: int, alpha: float) -> None:
    expected = [contrastive(model, ids, k, alpha) for ids in PROMPTS]
    together = found(model, f"contrastive_search({k}, {alpha})")
    assert ids_of(together) == expected
    assert ids_of([found(model, f"contrastive_search({k}, {alpha})", [ids])[0] for ids in PROMPTS]) == expected
    assert ids_of(together) != ids_of(found(model, "greedy"))
    for ids, one in zip(PROMPTS, together, strict=True):
        chances = [log_p(model, ids + one.token_ids[:at])[token] for at, token in enumerate(one.token_ids)]
        assert one.nll == pytest.approx(-sum(chances), rel=1e-10)


def test_contrastive_search_without_contrast_is_greedy(model: Any) -> None:
    assert ids_of(found(model, "contrastive_search(5, 0)")) == ids_of(found(model, "greedy"))
    text = "repetition_penalty(1.5) + no_repeat_ngram(2)"
    assert ids_of(found(model, f"contrastive_search(3, 0) + {text}")) == ids_of(found(model, f"greedy + {text}"))


def test_contrastive_search_takes_only_what_is_possible(model: Any) -> None:
    """All of ten candidates, of which eight can be said; forbidden ones do not win by being unlike."""
    assert set(itertools.chain(*ids_of(found(model, "contrastive_search(10, 1)", tokens=16)))) <= set(WORDS)
    with pytest.raises(UserError, match="only 300 tokens"):
        found(model, "contrastive_search(400)")


def grouped(
    model: Any, ids: tuple[int, ...], beams: int, groups: int, diversity: float, power: float, tokens: int = 8
) -> list[list[Beam]]:
    """Each group's finished beams, best first: candidates listed one by one."""
    width = beams // groups
    running: list[list[Beam] | None] = [[(0.0, ())] for _ in range(groups)]
    finished: list[list[Beam]] = [[] for _ in range(groups)]
    for length in range(1, tokens + 1):
        taken: list[int] = []
        for g in range(groups):
            if running[g] is None:
                continue
            candidates = [
                (score + chance - diversity * taken.count(v), (*new, v))
                for score, new in running[g] or []
                for v, chance in enumerate(log_p(model, ids + new))
                if v in WORDS
            ]
            candidates.sort(reverse=True)
            ended = [(s, new) for s, new in candidates[:width] if new[-1] == END or length == tokens]
            finished[g] += [(score / length**power, new) for score, new in ended]
            finished[g] = sorted(finished[g], reverse=True)[:width]
            going = [one for one in candidates if one[1][-1] != END][:width]
            taken += [new[-1] for _, new in going] + [new[-1] for _, new in candidates[:width] if new[-1] == END]
            is_settled = len(finished[g]) == width and going[0][0] / length**power <= finished[g][-1][0]
            running[g] = None if is_settled else going
    return finished


@pytest.mark.parametrize(
    ("beams", "groups", "diversity", "power"), [(4, 2, 0.5, 1), (6, 2, 1.5, 0), (4, 4, 0.8, 1), (6, 3, 0.3, 0.5)]
)
def test_beams_in_groups_are_those_of_the_algorithm(
    model: Any, beams: int, groups: int, diversity: float, power: float
) -> None:
    text = f"diverse_beam({beams}, {groups}, {diversity}, {power})"
    expected = [grouped(model, ids, beams, groups, diversity, power) for ids in PROMPTS]
    seen = [[one[i % groups][i // groups][1] for one in expected] for i in range(beams)]
    assert [ids_of(found(model, text, index=i)) for i in range(beams)] == seen
    assert ids_of(found(model, text, index=beams + 1)) == seen[1]
    assert ids_of([found(model, text, [ids], index=1)[0] for ids in PROMPTS]) == seen[1]


def test_the_first_group_is_plain_beam_search(model: Any) -> None:
    for power in (0, 1):
        plain = ids_of(found(model, f"beam(3, {power})"))
        assert ids_of(found(model, f"diverse_beam(6, 2, 0.7, {power})")) == plain
        alike = [ids_of(found(model, f"diverse_beam(6, 2, 0, {power})", index=i)) for i in (0, 1)]
        assert alike == [plain, plain]


def test_strongly_diverse_groups_begin_differently(model: Any) -> None:
    """Groups of one beam: no two take the same token at a step, though the first ends at once."""
    seen = [ids_of(found(model, "diverse_beam(4, 4, 1000)", [PROMPTS[2]], index=i))[0] for i in range(4)]
    assert seen[0] == (END,)
    assert len({one[0] for one in seen}) == 4
    for step in range(8):
        tokens = [one[step] for one in seen if len(one) > step]
        assert len(set(tokens)) == len(tokens)


def test_one_search_answers_all_samples_of_a_prompt(model: Any) -> None:
    ids = PROMPTS[2]
    streams = [stream(0, "p", index) for index in (3, 0, 1)]
    strategy = Strategy.of("diverse_beam(4, 2)")
    several = draw(model, byte_tokenizer(), [ids, PROMPTS[0], ids], streams, strategy=strategy, max_new_tokens=6)
    for one, prompt, index in zip(several, [ids, PROMPTS[0], ids], (3, 0, 1), strict=True):
        (alone,) = found(model, "diverse_beam(4, 2)", [prompt], index=index, tokens=6)
        assert (alone.token_ids, alone.nll) == (one.token_ids, pytest.approx(one.nll))
        chances = [log_p(model, prompt + one.token_ids[:at])[token] for at, token in enumerate(one.token_ids)]
        assert one.nll == pytest.approx(-sum(chances), rel=1e-6)


CHOICES = ("yes", "yes, but", "no", "neither")


@pytest.mark.parametrize(
    "text", ["sample", "temperature(3) + top_k(4)", "greedy", "beam(3)", "diverse_beam(6, 2)", "contrastive_search(3)"]
)
def test_responses_are_among_the_choices(text: str) -> None:
    model, tokenizer = tiny_llama(initializer_range=0.2), byte_tokenizer()
    choices = Choices(CHOICES, tokenizer, {END})
    prompts, streams = [(5, 6, 7), (8,)] * 10, [stream(0, "p", index) for index in range(20)]
    strategy = Strategy.of(text)
    responses = draw(model, tokenizer, prompts, streams, strategy=strategy, max_new_tokens=12, limits=choices)
    assert {one.text for one in responses} <= set(CHOICES)
    assert all(one.finished for one in responses)
    if text == "sample":
        assert {one.text for one in responses} == set(CHOICES)


def test_choices_are_drawn_by_what_is_left_at_each_step() -> None:
    """`y` or `n`: their probabilities over the sum of both, as all later tokens are forced."""
    model, tokenizer = tiny_llama(initializer_range=0.2), byte_tokenizer()
    y, n = (tokenizer.encode(text)[0] for text in "yn")
    with torch.no_grad():
        share = float(model(torch.tensor([(5, 6, 7)])).logits[0, -1, [y, n]].softmax(-1)[0])
    streams = [stream(0, "p", index) for index in range(1000)]
    choices = Choices(("yes", "no"), tokenizer, {END})
    strategy = Strategy.of("sample")
    drawn = draw(model, tokenizer, [(5, 6, 7)] * 1000, streams, strategy=strategy, max_new_tokens=4, limits=choices)
    seen = sum(one.text == "yes" for one in drawn) / 1000
    assert seen == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000))


@pytest.mark.parametrize(
    ("texts", "message"),
    [(("a",), "at least two"), (("a", ""), "an empty text"), (("a", "b", "a"), "'a' twice")],
)
def test_wrong_choices_are_told(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Choices(texts, byte_tokenizer(), {END})
    with pytest.raises(UserError, match="raise max_new_tokens"):
        draw(
            tiny_llama(),
            byte_tokenizer(),
            [(5,)],
            [stream(0, "p", 0)],
            strategy=Strategy.of("greedy"),
            max_new_tokens=3,
            limits=Choices(CHOICES, byte_tokenizer(), {END}),
        )
