"""Made-up records of the shapes that experiments and evaluations write. No number here was measured."""

import math
from typing import Any

METRICS: dict[str, dict[str, Any]] = {
    "nll": {
        "label": "Validation NLL",
        "unit": "nats/token",
        "better": "lower",
        "kind": "quality",
        "explain": "Mean negative log-likelihood of the held-out answers; lower: the model expects them more.",
    },
    "perplexity": {
        "label": "Perplexity",
        "unit": "",
        "better": "lower",
        "kind": "quality",
        "explain": "exp of the mean NLL.",
    },
    "accuracy": {
        "label": "Top-1 accuracy",
        "unit": "",
        "better": "higher",
        "kind": "quality",
        "explain": "Share of held-out tokens that are the model's most likely token.",
    },
    "base_nll": {
        "label": "Base-model NLL of samples",
        "unit": "nats/token",
        "better": "lower",
        "kind": "quality",
        "explain": "How surprising the samples are to the untouched base model; a rough measure of fluency.",
    },
    "distinct_1": {
        "label": "Distinct-1",
        "unit": "",
        "better": "higher",
        "kind": "diversity",
        "explain": "Distinct words over all words in the samples of a prompt.",
    },
    "distinct_2": {
        "label": "Distinct-2",
        "unit": "",
        "better": "higher",
        "kind": "diversity",
        "explain": "Distinct pairs of words over all pairs in the samples of a prompt.",
    },
    "self_bleu": {
        "label": "Self-BLEU",
        "unit": "",
        "better": "lower",
        "kind": "diversity",
        "explain": "BLEU of each sample against all other samples of its prompt; 100 when all are equal.",
    },
    "vendi": {
        "label": "Vendi score",
        "unit": "samples",
        "better": "higher",
        "kind": "diversity",
        "explain": "The effective number of different samples.",
    },
    "distinct_outputs": {
        "label": "Distinct outputs",
        "unit": "",
        "better": "higher",
        "kind": "diversity",
        "explain": "Share of the samples of a prompt that differ from each other as texts.",
    },
    "entropy": {
        "label": "Entropy",
        "unit": "nats/token",
        "better": None,
        "kind": "description",
        "explain": "Mean entropy of the model's own predictions on the held-out answers.",
    },
    "length": {
        "label": "Length",
        "unit": "tokens",
        "better": None,
        "kind": "description",
        "explain": "Mean length of a sample.",
    },
}

_BASE = {
    "nll": 2.6,
    "accuracy": 0.41,
    "base_nll": 1.4,
    "distinct_1": 0.42,
    "distinct_2": 0.55,
    "self_bleu": 46.0,
    "vendi": 3.1,
    "distinct_outputs": 0.8,
    "entropy": 1.7,
    "length": 17.0,
}


def estimate(value: float, arm: float | None = None, n: int = 24) -> dict[str, Any]:
    """An estimate with a symmetric interval, or without one."""
    low, high = (None, None) if arm is None else (value - arm, value + arm)
    return {"value": value, "low": low, "high": high, "n": n}


def setting(temperature: float, shift: float = 0.0, *, reference: bool = False, arms: bool = True) -> dict[str, Any]:
    """All measures at one temperature; `shift` moves quality and diversity up together."""
    heat = temperature - 1
    values = {
        **_BASE,
        "nll": _BASE["nll"] - 0.3 * shift + 0.25 * heat * heat,
        "base_nll": _BASE["base_nll"] + 0.9 * heat - 0.1 * shift,
        "distinct_1": _BASE["distinct_1"] + 0.2 * heat + 0.03 * shift,
        "distinct_2": _BASE["distinct_2"] + 0.35 * heat + 0.06 * shift,
        "self_bleu": _BASE["self_bleu"] - 40 * heat - 6 * shift,
        "vendi": _BASE["vendi"] + 3 * heat + 0.5 * shift,
        "entropy": _BASE["entropy"] + 0.2 * shift,
    }
    values["perplexity"] = math.exp(values["nll"])
    metrics = {name: estimate(value, abs(value) * 0.04 if arms else None) for name, value in values.items()}
    return {"temperature": temperature, "samples_per_prompt": 8, "reference": reference, "metrics": metrics}


def curve(shift: float = 0.0, *, steps: int = 120, seed: int | None = None) -> list[dict[str, Any]]:
    """Training NLL that falls throughout and validation NLL that turns up after a third of the steps."""
    rows = []
    wobble = 0.0 if seed is None else 0.04 * math.sin(7.0 * seed + 1)
    for step in range(0, steps + 1, 4):
        done = step / steps
        train = 3.1 * math.exp(-2.2 * done) + 0.25 + 0.05 * math.sin(step) + wobble
        row = {"step": step, "epoch": 6 * done, "tokens": step * 640, "split": "train", "nll": train}
        row |= {"entropy": 1.9 * math.exp(-1.4 * done) + 0.2 * shift, "accuracy": 0.35 + 0.5 * done, "loss": train}
        rows.append(row | ({} if seed is None else {"seed": seed}))
        if step % 20 == 0:
            validation = 2.3 + 3.2 * (done - 0.35) ** 2 * (1 - 0.3 * shift) + wobble
            rows.append({**rows[-1], "split": "validation", "nll": validation, "entropy": row["entropy"] + 0.1})
    return rows


def variant(name: str, shift: float, temperatures: list[float], *, tuned: bool = True, **parts: Any) -> dict[str, Any]:
    """One variant; `parts` replace its curve, settings or anything else."""
    entry = {
        "name": name,
        "label": name if tuned else "base (untouched)",
        "objective": name if tuned else None,
        "tuned": tuned,
        "runs": [f"runs/demo/{name}/seed-0"] if tuned else [],
        "curve": curve(shift) if tuned else [],
        "best_step": 40 if tuned else None,
        "last_step": 120 if tuned else None,
        "best_nll": 2.301 if tuned else None,
        "last_nll": 2.301 + 1.3 * (1 - 0.3 * shift) if tuned else None,
        "settings": [setting(temperature, shift) for temperature in temperatures],
    }
    return entry | parts


def samples(names: list[str], temperatures: list[float]) -> list[dict[str, Any]]:
    """Answers to two prompts; at the lowest temperature most are equal."""
    prompts = {
        "chat-17": ("What did you do last weekend?", ["I went hiking with my sister.", "Not much, I read a book."]),
        "chat-42": ("Do you like spicy food? I could eat it every day, even for breakfast.", ["Yes, I love it!"]),
        "chat-51": ("Tell me about your job.", []),
    }
    endings = ["with my dog", "in the rain", "and slept", "by the sea", "at home", "with friends", "all day", "again"]
    entries = []
    for prompt_id, (prompt, references) in prompts.items():
        outputs = [
            {
                "variant": name,
                "temperature": temperature,
                "texts": [f"I went out {endings[i % max(1, int(8 * temperature / 1.3))]}." for i in range(8)],
            }
            for name in names
            for temperature in temperatures
        ]
        entries.append({"prompt_id": prompt_id, "prompt": prompt, "references": references, "outputs": outputs})
    return entries


def header(kind: str) -> dict[str, Any]:
    """What all records share."""
    return {
        "schema_version": 1,
        "kind": kind,
        "title": "Three objectives on small talk",
        "created": "2026-03-04T10:20:30Z",
        "command": "entrotune demo --out runs/demo --seed 0",
        "seeds": [0],
        "versions": {"entrotune": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "device": "cpu (2 cores)",
        "git_revision": None,
        "seconds": {"train": 221.4, "evaluate": 160.2, "total": 391.0},
        "model": {
            "name": "SmolLM2-135M-Instruct",
            "source": "gguf",
            "fingerprint": "9f2c1d",
            "parameters": 134515008,
        },
        "data": {
            "source": "chitchat",
            "format": "messages",
            "rows_read": 190,
            "rows_rejected": 3,
            "train_rows": 120,
            "validation_rows": 43,
            "prompts": 24,
            "train_tokens": 5310,
            "supervised_tokens": 2204,
            "fingerprint": "ab12cd",
        },
        "conventions": {"entropy": "nats per token", "diversity": "measured on responses only"},
        "metrics": METRICS,
        "front": {"quality": "base_nll", "diversity": "distinct_2"},
    }


def comparison(**parts: Any) -> dict[str, Any]:
    """Three objectives and the base model at three temperatures; `parts` replace any of its parts."""
    temperatures = [0.7, 1.0, 1.3]
    names = ["base", "ce", "ce - 0.1*entropy", "gem(beta=0.7)"]
    record = header("comparison") | {
        "recipe": {"model": "smollm2-135m", "objectives": names[1:], "training": {"epochs": 6, "learning_rate": 5e-4}},
        "variants": [
            variant("base", -0.8, temperatures, tuned=False),
            variant("ce", 0.0, temperatures),
            variant("ce - 0.1*entropy", 0.4, temperatures),
            variant("gem(beta=0.7)", 0.9, temperatures),
        ],
        "comparisons": [
            {
                "metric": "vendi",
                "a": {"variant": "gem(beta=0.7)", "temperature": 1.0},
                "b": {"variant": "ce", "temperature": 1.0},
                "difference": estimate(0.45, 0.2),
                "verdict": "higher",
            },
            {
                "metric": "distinct_2",
                "a": {"variant": "gem(beta=0.7)", "temperature": 1.0},
                "b": {"variant": "ce", "temperature": 1.0},
                "difference": estimate(0.054, 0.03),
                "verdict": "higher",
            },
            {
                "metric": "base_nll",
                "a": {"variant": "ce - 0.1*entropy", "temperature": 1.0},
                "b": {"variant": "ce", "temperature": 1.0},
                "difference": estimate(-0.04, 0.09),
                "verdict": "no difference shown",
            },
        ],
        "samples": samples(names, temperatures),
    }
    return record | parts


def evaluation(**parts: Any) -> dict[str, Any]:
    """One model at two temperatures; `parts` replace any of its parts."""
    outputs = samples(["SmolLM2-135M-Instruct"], [0.7, 1.0])
    record = header("evaluation") | {"title": None, "settings": [setting(0.7), setting(1.0)], "samples": outputs}
    return record | parts


def metrics_rows(*, validation: bool = True) -> list[dict[str, Any]]:
    """Lines of a `metrics.jsonl`."""
    rows = []
    for row in curve():
        if row["split"] == "validation" and not validation:
            continue
        spread = {f"entropy_q{q}": row["entropy"] * int(q) / 50 for q in ("05", "25", "50", "75", "95")}
        extra = {"coefficients": {"ce": 1.0, "entropy": -0.1 * row["step"] / 120}, "learning_rate": 5e-4}
        rows.append({**row, **spread, **extra, "grad_norm": 1.2, "tokens_per_second": 148.0, "seconds": row["step"]})
    return rows


def run(**parts: Any) -> dict[str, Any]:
    """A finished training run; `parts` replace any of its parts."""
    record = {
        "name": "seed-0",
        "recipe": {"model": "smollm2-135m", "objective": "ce - alpha*entropy", "method": "lora", "seed": 0},
        "run": {"status": "finished", "seed": 0, "device": "cpu", "seconds": 221.4, "best_step": 40},
        "metrics": metrics_rows(),
        "evaluation": None,
    }
    return record | parts
