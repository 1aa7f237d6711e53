"""How a record came to be: time, command, versions, revision, conventions."""

from typing import Any

from entrotune import provenance
from entrotune.evaluation.measure import EAD_VOCABULARY
from entrotune.measures import reference_signatures

CONVENTIONS = {
    "nll": "nats per supervised token; a temperature divides the logits after the model's own scale and cap",
    "entropy": "nats per token, of the predictions of held-out tokens",
    "diversity": "on responses only, per prompt, then averaged over prompts",
    "ead": f"words, of a vocabulary of {EAD_VOCABULARY:,}",
    "self_bleu": "each sample against all others of its prompt",
    "vendi": "order 1 over counts of word pairs",
    "references": "bleu, chrf, rouge, f1 and exact_match are of prompts whose rows have references: a prompt's samples "
    "against all of them, then averaged over prompts; `corpus` has bleu and chrf of all samples at once",
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
        "conventions": CONVENTIONS | reference_signatures(),
    }
