"""Choosing among the responses to each prompt."""

from collections.abc import Sequence
from typing import Any

from entrotune.data import Row
from entrotune.data.rows import prompt_messages
from entrotune.decoding.classifiers import SequenceClassifier, check_reward_model
from entrotune.decoding.rerank import by_checker, by_majority, by_score, diverse
from entrotune.errors import UserError
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.line_files import Line
from entrotune.measures import check, majority_vote
from entrotune.measures.words import normalised


def check_choosing(config: GenerateConfig, asks: Sequence[Row]) -> None:
    """Raise a `UserError` where prompts lack what the way of choosing needs, or the reward model is none."""
    if config.reward_model is not None:
        check_reward_model(config.reward_model)
    if config.rerank == "checker" and (bare := [row for row in asks if row.checker is None]):
        raise UserError(f"rerank: checker needs a checker in every prompt; '{bare[0].id}' has none")


def choose(config: GenerateConfig, asks: Sequence[Row], lines: Sequence[Line]) -> list[Line]:
    """The `keep` responses to each prompt, best first, with `rank` and what they were chosen by as `score`."""
    if config.rerank is None:
        return []
    reward = SequenceClassifier(config.reward_model, device=config.device) if config.reward_model else None
    chosen = []
    for row in asks:
        own = sorted((line for line in lines if line["prompt_id"] == row.id), key=lambda line: line["index"])
        order, scores = _ranked(config, row, own, reward)
        chosen += [
            {**own[place], "rank": rank, "score": scores[place]} for rank, place in enumerate(order[: config.keep])
        ]
    return chosen


def _ranked(
    config: GenerateConfig, row: Row, own: Sequence[Line], reward: SequenceClassifier | None
) -> tuple[list[int], Sequence[Any]]:
    texts = [line["text"] for line in own]
    if config.rerank == "majority":
        parsed = [_parsed(row, text) for text in texts]
        wins = majority_vote(parsed) if parsed else {}
        return by_majority(parsed), [wins.get(one, 0.0) if one is not None else 0.0 for one in parsed]
    if config.rerank == "checker":
        assert row.checker is not None
        correct = [check(text, row.checker).correct for text in texts]
        return by_checker(correct), correct
    if config.rerank == "reward":
        assert reward is not None
        messages = prompt_messages(row) or ()
        scores = [reward.reward(messages, text) for text in texts]
        return by_score(scores), scores
    # A server does not tell likelihoods; all responses are equally good then.
    likelihoods = [line["mean_logprob"] if line["mean_logprob"] is not None else 0.0 for line in own]
    if config.rerank == "diverse":
        return diverse(texts, likelihoods, config.keep, weight=config.diversity), likelihoods
    return by_score(likelihoods), likelihoods


def _parsed(row: Row, text: str) -> str | None:
    return check(text, row.checker).parsed if row.checker is not None else normalised(text) or None
