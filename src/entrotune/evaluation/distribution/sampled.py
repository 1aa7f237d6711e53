"""What a model writes when it is asked: seeded samples at temperature 1, untruncated, and what they show of a set."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from scipy.special import chdtrc

from entrotune.data.targets import EncodedTargets
from entrotune.decoding import end_tokens
from entrotune.evaluation.sampling import batch_seed
from entrotune.measures import count_entropy
from entrotune.models import base_of, evaluation_mode

_SHOWN = 10


@dataclass(frozen=True)
class Drawn:
    """One output: its tokens without the end mark, as text, and whether it ended by itself."""

    token_ids: tuple[int, ...]
    text: str
    finished: bool


def draw_outputs(
    model: Any,
    tokenizer: Any,
    encoded: EncodedTargets,
    *,
    samples: int,
    seed: int,
    batch_size: int = 250,
    progress: Progress | None = None,
) -> list[Drawn]:
    """Draw outputs at temperature 1 from the whole distribution; the request is read once for all of them.

    An output stops at an end mark or at the length of the longest target, whichever comes first: what is longer is no
    target. Each batch has a seed of its own, as in `sample`.
    """
    ends = end_tokens(model, tokenizer)
    longest = max(map(len, encoded.sequences))
    found: list[Drawn] = []
    task = progress.add_task(f"sampling {encoded.label}", total=samples) if progress else None
    with evaluation_mode(model):
        for number, start in enumerate(range(0, samples, batch_size)):
            count = min(batch_size, samples - start)
            rows = _draw(model, encoded.prompt.input_ids, count, longest, ends, batch_seed(seed, 1.0, number))
            found += [_read(row, ends, tokenizer) for row in rows]
            if progress and task is not None:
                progress.advance(task, count)
    if progress and task is not None:
        progress.remove_task(task)
    return found


def _draw(
    model: Any, prompt: Sequence[int], count: int, longest: int, ends: frozenset[int], seed: int
) -> list[list[int]]:
    """Tokens of `count` outputs, end marks included. What several begin with in common is computed once for all."""
    base = base_of(model)
    device = base.get_input_embeddings().weight.device
    generator = torch.Generator(device=device).manual_seed(seed)
    output = base(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True, logits_to_keep=1)
    rows: list[list[int]] = [[] for _ in range(count)]
    groups = [list(range(count))]
    for position in range(longest):
        parents, tokens, begun = [], [], []
        for at, members in enumerate(groups):
            p = output.logits[at, -1].float().softmax(-1)
            drawn = torch.multinomial(p, len(members), replacement=True, generator=generator).tolist()
            alike = defaultdict(list)
            for member, token in zip(members, drawn, strict=True):
                rows[member].append(token)
                alike[token].append(member)
            going_on = {token: own for token, own in alike.items() if token not in ends}
            parents += [at] * len(going_on)
            tokens += list(going_on)
            begun += list(going_on.values())
        if not begun or position == longest - 1:
            break
        cache, groups = output.past_key_values, begun
        cache.batch_select_indices(torch.tensor(parents, device=device))
        output = base(input_ids=torch.tensor(tokens, device=device)[:, None], past_key_values=cache, use_cache=True)
    return rows


def _read(row: Sequence[int], ends: frozenset[int], tokenizer: Any) -> Drawn:
    end = next((at for at, token in enumerate(row) if token in ends), None)
    ids = tuple(row[:end])
    return Drawn(ids, tokenizer.decode(ids, skip_special_tokens=True), end is not None)


def sampled_measures(drawn: Sequence[Drawn], encoded: EncodedTargets) -> dict[str, Any]:
    """Measures of outputs against a target set.

    `entropy` of the outputs, valid or not, with `entropy_plug_in`, `entropy_miller_madow` and `entropy_chao_shen`;
    `validity`, the share that are targets (ended by themselves, where outputs end); `coverage`, the number of different
    targets seen; `most_frequent` output and `most_frequent_share`; `chi_squared` of the valid outputs against the
    weights, with its degrees of freedom, p-value and lowest expected count (below 5 the p-value is rough).
    """
    targets = encoded.of.targets
    outcomes = [_outcome(one, encoded) for one in drawn]
    counts = Counter(text for text, _ in outcomes)
    valid = Counter(text for text, is_target in outcomes if is_target)
    common, times = counts.most_common(1)[0]
    entropies = {
        f"entropy_{name.replace('-', '_')}": count_entropy(list(counts.values()), estimator=name)
        for name in ("plug-in", "miller-madow", "chao-shen")
    }
    return {
        "samples": len(drawn),
        "distinct": len(counts),
        **entropies,
        "entropy": entropies["entropy_miller_madow"],
        "validity": valid.total() / len(drawn),
        "coverage": len(valid),
        "most_frequent": common,
        "most_frequent_share": times / len(drawn),
        "chi_squared": _chi_squared([valid[target] for target in targets], encoded.of.weights),
        "outputs": [{"text": text, "count": count} for text, count in counts.most_common(_SHOWN)],
    }


def _outcome(one: Drawn, encoded: EncodedTargets) -> tuple[str, bool]:
    """What an output counts as, and whether that is a target."""
    if encoded.of.eos:
        return one.text, one.finished and one.text in encoded.of.targets
    # Outputs go on: the longest target that this one begins with.
    begun = [target for target in encoded.of.targets if one.text.startswith(target)]
    return (max(begun, key=len), True) if begun else (one.text, False)


def _chi_squared(counts: Sequence[int], weights: Sequence[float]) -> dict[str, Any] | None:
    seen, total = np.asarray(counts, dtype=np.float64), sum(counts)
    if total == 0 or len(counts) < 2:
        return None
    wanted = np.asarray(weights) * total
    statistic = float(np.sum((seen - wanted) ** 2 / wanted))
    degrees = len(counts) - 1
    return {
        "statistic": statistic,
        "degrees_of_freedom": degrees,
        "p_value": float(chdtrc(degrees, statistic)),
        "lowest_expected": float(wanted.min()),
    }
