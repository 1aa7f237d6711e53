"""How a record came to be: time, command, versions, revision, conventions."""

from typing import Any

from entrotune import provenance
from entrotune.evaluation.measure import EAD_VOCABULARY

CONVENTIONS = {
    "nll": "nats per supervised token; a temperature divides the logits after the model's own scale and cap",
    "entropy": "nats per token, of the predictions of held-out tokens",
    "diversity": "on responses only, per prompt, then averaged over prompts",
    "ead": f"words, of a vocabulary of {EAD_VOCABULARY:,}",
    "self_bleu": "each sample against all others of its prompt",
    "vendi": "order 1 over counts of word pairs",
    "correctness": "the row's checker, else equality with one of its references, ignoring case",
    "intervals": "95% bootstrap over prompts; differences are paired over prompts",
}


def header(seed: int) -> dict[str, Any]:
    """The parts of a record that tell when, how and on what it was made."""
    return {
        "created": provenance.now(),
        "command": provenance.command_line(),
        "seeds": [seed],
        "versions": provenance.versions(),
        "git_revision": provenance.git_revision(),
        "conventions": CONVENTIONS,
    }
