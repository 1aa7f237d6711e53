"""How close a prompt's samples come to reference answers: BLEU, chrF, ROUGE, F1, exact match.

With several references each metric does what it defines: BLEU clips counts by the reference that has most of an n-gram
and takes the closest length; the others take the reference that a sample agrees with best.
"""

import functools
import importlib.metadata
import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from entrotune.measures.words import require_texts

ROUGE_TYPES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
REFERENCE_METRICS = ("bleu", "chrf", *ROUGE_TYPES, "f1", "exact_match")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def reference_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Every reference-based metric of one prompt's samples, keyed by its name in `METRICS`.

    Args:
        texts: the samples of one prompt.
        references: good answers to it, in any order; equal ones count once.

    Returns:
        BLEU and chrF from 0 to 100, over the samples as one corpus; the others from 0 to 1, means over samples. All
        NaN without samples or references; ROUGE NaN where no reference has one of the letters a to z or a digit, for
        it sees no others.
    """
    require_texts(texts)
    require_texts(references)
    # Sorted: of references that chrF finds equally good it takes the first, and lengths of the two may differ.
    distinct = sorted(set(references))
    if not texts or not distinct:
        return dict.fromkeys(REFERENCE_METRICS, math.nan)
    counts = Counter(texts)
    found = corpus_scores([(list(texts), distinct)])
    found |= _mean([(_rouge(text, distinct), times) for text, times in counts.items()])
    answers = [(_answer_scores(text, distinct), times) for text, times in counts.items()]
    return found | _mean(answers)


def corpus_scores(prompts: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
    """BLEU and chrF of all samples of several prompts as one corpus, as sacrebleu defines them.

    Args:
        prompts: of each the samples and the references; those without either do not count.
    """
    pairs = [(text, references) for texts, references in prompts if references for text in texts]
    if not pairs:
        return {"bleu": math.nan, "chrf": math.nan}
    most = max(len(references) for _, references in pairs)
    # sacrebleu takes references by their number, and an absent one as None.
    streams: list[Any] = [[(refs[at] if at < len(refs) else None) for _, refs in pairs] for at in range(most)]
    texts = [text for text, _ in pairs]
    return {
        "bleu": float(_bleu().corpus_score(texts, streams).score),
        "chrf": float(_chrf().corpus_score(texts, streams).score),
    }


def squad_normalised(text: str) -> str:
    """Lower case, without punctuation (ASCII) and the articles a, an, the, white space as single spaces.

    The normalisation of the SQuAD evaluation (Rajpurkar et al. 2016, arXiv 1606.05250).
    """
    bare = "".join(char for char in text.lower() if char not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(text: str, references: Sequence[str]) -> float:
    """1 where the text equals a reference after `squad_normalised`, else 0."""
    answer = squad_normalised(text)
    return float(any(answer == squad_normalised(reference) for reference in references))


def token_f1(text: str, references: Sequence[str]) -> float:
    """The largest F1 of the words that a text shares with a reference, both after `squad_normalised`.

    Where one of the two has no word left, 1 if both have none, else 0.
    """
    return max(_f1(squad_normalised(text).split(), squad_normalised(one).split()) for one in references)


def reference_signatures(references: str = "var") -> dict[str, str]:
    """What produced the numbers: sacrebleu's signatures, and the package and options of ROUGE.

    Args:
        references: how many a prompt has; `var` where that differs.
    """
    told = {}
    for name, metric in (("bleu", _bleu()), ("chrf", _chrf())):
        metric.corpus_score(["a"], [["a"]])  # before its first score it has no signature
        told[name] = metric.get_signature().format()
    told = {name: re.sub(r"nrefs:[^|]*", f"nrefs:{references}", signature) for name, signature in told.items()}
    version = importlib.metadata.version("rouge-score")
    return told | dict.fromkeys(ROUGE_TYPES, f"rouge-score {version}, F-measure, stemmer:no, max over references")


def _mean(scored: Sequence[tuple[dict[str, float], int]]) -> dict[str, float]:
    total = sum(times for _, times in scored)
    return {name: math.fsum(scores[name] * times for scores, times in scored) / total for name in scored[0][0]}


def _rouge(text: str, references: Sequence[str]) -> dict[str, float]:
    scorer = _rouge_scorer()
    usable = [reference for reference in references if re.search(r"[a-z0-9]", reference.lower())]
    if not usable:
        return dict.fromkeys(ROUGE_TYPES, math.nan)
    scores = scorer.score_multi(usable, text)
    return {name: float(scores[kind].fmeasure) for name, kind in ROUGE_TYPES.items()}


def _answer_scores(text: str, references: Sequence[str]) -> dict[str, float]:
    return {"f1": token_f1(text, references), "exact_match": exact_match(text, references)}


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    shared = sum((Counter(answer) & Counter(reference)).values())
    return 2 * shared / (len(answer) + len(reference))


@functools.cache
def _bleu() -> BLEU:
    return BLEU(force=True)  # texts that look tokenized are what they are: no advice about them


@functools.cache
def _chrf() -> CHRF:
    return CHRF()


@functools.cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE_TYPES.values()), use_stemmer=False)
