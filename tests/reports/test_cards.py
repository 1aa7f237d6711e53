"""Model cards: front matter, tables, escaping."""

import ast
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from entrotune.reports import model_card
from entrotune.reports.curves import curve_points
from reports import records


def _card(**parts: Any) -> str:
    return model_card(
        **{
            "name": "runs/demo/ce/model",
            "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "objective": "ce - 0.1*entropy",
            "method": "lora",
            "data": records.header("comparison")["data"],
            "seeds": [0],
            "curve": records.metrics_rows(),
            "evaluation": records.evaluation(),
            "recipe": {"objective": "ce - 0.1*entropy", "seed": 0},
            "versions": {"torch": "2.13.0"},
            **parts,
        }
    )


def _front_matter(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


def test_front_matter_names_base_and_library() -> None:
    assert _front_matter(_card()) == {
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["entrotune", "lora"],
    }
    assert _front_matter(_card(method="full"))["library_name"] == "transformers"


def test_card_states_objective_data_seeds_curve_and_diversity() -> None:
    card = _card()
    for phrase in (
        "trained with entrotune on the objective `ce - 0.1*entropy`",
        "- Rows rejected: 3",
        "- Seeds: 0",
        "| epoch | step | training NLL | validation NLL | training entropy | validation entropy |",
        "| 2 | 40 (best) |",
        "was at step 40.",
        "| measure | direction | T = 0.7 | T = 1 |",
        "| Distinct-2 | higher is better | 0.445 [0.427 to 0.463] |",
        "PeftModel.from_pretrained(base, 'runs/demo/ce/model')",
        "## Licence",
        "torch 2.13.0",
    ):
        assert phrase in card
    assert "PeftModel" not in _card(method="full")
    assert "step 40" in _card(saved_step=40).split("The weights here are those of")[1]


def test_the_base_of_an_adapter_is_loaded_by_what_knows_its_name() -> None:
    short, hub = _card(base_model="smollm2-135m"), _card(base_model="owner/name")
    assert "base, tokenizer = entrotune.load_model('smollm2-135m')" in short
    assert "AutoModelForCausalLM" not in short
    assert "base = AutoModelForCausalLM.from_pretrained('owner/name')" in hub


def test_card_without_optional_parts() -> None:
    card = _card(data={}, seeds=[], curve=[], evaluation=None, recipe=None, versions=None)
    for heading in ("## Training", "## Quality", "## Recipe", "Versions"):
        assert heading not in card


def test_python_in_the_card_parses() -> None:
    for name in ("runs/a", "a'b\"c\\d", "````\n\nx", "\u2028é"):
        blocks = re.findall(r"```python\n(.*?)\n```", _card(name=name), flags=re.S)
        assert len(blocks) == 2
        for block in blocks:
            ast.parse(block)


HOSTILE = [
    "<script>alert(1)</script>",
    "a|b\n\n# c",
    "``` ```",
    "![x](http://x.y)",
    "`",
    "---",
    "a: b\n- c",
    "\x00\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_neither_markup_nor_yaml(text: str) -> None:
    _check_hostile(text)


@given(st.text(st.characters(codec=None), max_size=30))
def test_any_text_is_neither_markup_nor_yaml(text: str) -> None:
    _check_hostile(text)


def _check_hostile(text: str) -> None:
    card = _card(
        name=text or "x",
        base_model=text,
        objective=text,
        data={"source": text, "format": text},
        recipe={"objective": text},
        versions={text: text},
    )
    card.encode("utf-8")
    assert set(_front_matter(card)) == {"base_model", "library_name", "pipeline_tag", "tags"}
    body = card.split("---\n", 2)[2]
    tokens = MarkdownIt().enable("table").parse(body)
    kinds = [token.type for token in tokens]
    plain = MarkdownIt().enable("table").parse(_card().split("---\n", 2)[2])
    assert [token.tag for token in tokens if token.type == "heading_open"] == [
        token.tag for token in plain if token.type == "heading_open"
    ]
    assert kinds.count("fence") == [token.type for token in plain].count("fence")
    assert "html_block" not in kinds
    inline = {child.type for token in tokens for child in token.children or []}
    assert not inline & {"html_inline", "image", "link_open"}


def test_curve_points_pair_validation_with_the_training_before_it() -> None:
    rows = [
        {"step": 1, "epoch": 0.5, "split": "train", "nll": 3.0, "entropy": 2.0},
        {"step": 2, "epoch": 1.0, "split": "train", "nll": 2.0, "entropy": 1.0},
        {"step": 2, "epoch": 1.0, "split": "validation", "nll": 2.5, "entropy": 1.1},
        {"step": 3, "epoch": 1.5, "split": "train", "nll": 1.0, "entropy": None},
        {"step": 3, "epoch": 1.5, "split": "validation", "nll": 2.7, "entropy": 1.0},
    ]
    first, second = curve_points(rows)
    assert (first.step, first.train_nll, first.validation_nll, first.is_best) == (2, 2.5, 2.5, True)
    assert (second.train_nll, second.train_entropy, second.is_best) == (1.0, None, False)
    by_epoch = curve_points([row for row in rows if row["split"] == "train"])
    assert [(point.step, point.train_nll, point.validation_nll) for point in by_epoch] == [
        (2, 2.5, None),
        (3, 1.0, None),
    ]
    assert curve_points([]) == []
