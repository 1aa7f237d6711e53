"""What a comparison says of other abilities, against the models it saved; kept over a resume."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commands import command_here
from entrotune import CompareConfig, compare, load_model
from entrotune.cli.arguments import parse
from entrotune.errors import UserError
from entrotune.evaluation.distribution import Kept, measure_kept, read_retention
from entrotune.experiments.retention_config import Retention
from entrotune.measures import bootstrap_ratio, paired_difference, paired_ratio_difference
from entrotune.reports import evidence_page, retention_table, trimmed
from experiments.conftest import small
from tiny_files import write_rows

Compared = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Other texts, and multiple-choice rows."""
    folder = tmp_path_factory.mktemp("others")
    tasks = [{"ctx": f"two and {i} is", "endings": ["few", "many", "none"], "label": i % 3} for i in range(8)]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    texts = write_rows(folder / "texts.jsonl", count=12)
    return {"data": str(texts), "choices": str(folder / "tasks.jsonl"), "limit": 7}


@pytest.fixture(scope="module")
def compared(model: Path, rows: Path, others: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Compared:
    out = tmp_path_factory.mktemp("retained") / "comparison"
    return out, compare(_config(model, rows, others, out), progress=False)


def _config(model: Path, rows: Path, others: dict[str, Any], out: Path, **changes: Any) -> Any:
    # A large step, so that something is lost; samples are not what is looked at here.
    return small(
        model,
        rows,
        out,
        objectives=["ce + 1*kl(ref)"],
        retention=others,
        temperatures=[1.0],
        samples=2,
        prompts=2,
        **changes,
    ).replace(train=small(model, rows, out).train.replace(learning_rate=0.01, reference=str(model)))


def _kept(source: str | Path, others: dict[str, Any]) -> Kept:
    model, tokenizer = load_model(source)
    named = {"chats": others["data"], "rows": 7, "choices": others["choices"], "choices_limit": 7, "context": 512}
    return measure_kept(model, tokenizer, read_retention(tokenizer, **named))


def _between(record: dict[str, Any], a: str, b: str, metric: str) -> dict[str, Any]:
    entries = record["retention"]["comparisons"]
    return next(e for e in entries if (e["a"]["variant"], e["b"]["variant"], e["metric"]) == (a, b, metric))


def test_numbers_are_those_of_the_saved_models(compared: Compared, model: Path, others: dict[str, Any]) -> None:
    out, record = compared
    before, after = _kept(model, others), _kept(out / "ce" / "seed-0", others)
    variants = {variant["name"]: variant["retention"] for variant in record["variants"]}
    assert list(variants) == ["base", "ce", "ce + kl(ref)"]
    assert "kl_to_base" not in variants["base"]
    assert variants["ce"]["nll"] == bootstrap_ratio(after.nll, after.tokens, seed=0).to_dict()
    assert variants["ce"]["choice_accuracy"]["value"] == pytest.approx(sum(after.right) / 7)
    assert variants["ce"]["kl_to_base"]["value"] > variants["ce + kl(ref)"]["kl_to_base"]["value"] > 0
    nll = paired_ratio_difference(after.nll, after.tokens, before.nll, before.tokens, seed=0)
    assert _between(record, "ce", "base", "nll")["difference"] == nll.to_dict()
    right = paired_difference(after.right, before.right, seed=0)
    assert _between(record, "ce", "base", "choice_accuracy")["difference"] == right.to_dict()
    assert record["retention"]["rows"]["chats"]["rows"] == record["retention"]["rows"]["choices"]["rows"] == 7


def test_the_page_and_the_terminal_tell_of_it(compared: Compared) -> None:
    out, record = compared
    page = (out / "report.html").read_text(encoding="utf-8")
    told = _between(record, "ce", "base", "nll")
    assert told["verdict"] in ("higher", "lower")
    assert told["sentence"] in page
    assert 'id="retention"' in page
    assert f"7 texts of {record['recipe']['retention']['data']}" in page
    console = Console(width=160)
    with console.capture() as caught:
        console.print(retention_table(record))
    number = f"{told['difference']['value']:+.3f}".replace("-", "−")
    assert f"({number})" in caught.get()
    evidence = evidence_page([trimmed(record)], [None])
    assert "### Other abilities" in evidence
    assert f"{told['difference']['value']:.3f}".replace("-", "−") in evidence


def test_a_resumed_comparison_reuses_what_was_measured(
    compared: Compared, model: Path, rows: Path, others: dict[str, Any]
) -> None:
    out, record = compared
    path = out / "base" / "retention.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(kept | {"kept": kept["kept"] | {"right": [1] * 7}}), encoding="utf-8")
    again = compare(_config(model, rows, others, out, resume=True), progress=False)
    assert again["variants"][0]["retention"]["choice_accuracy"]["value"] == 1.0
    assert again["variants"][1]["retention"] == record["variants"][1]["retention"]
    path.write_text(json.dumps({"made_by": {}, "kept": {}}), encoding="utf-8")
    again = compare(_config(model, rows, others, out, resume=True), progress=False)
    assert again["retention"] == record["retention"]


def test_bad_input() -> None:
    with pytest.raises(UserError, match="needs data"):
        Retention.of(Retention())
    with pytest.raises(UserError, match="limit must be at least 1"):
        Retention.of({"data": "x.jsonl", "limit": 0})
    with pytest.raises(UserError, match=r"expected fields of data, choices, limit, columns"):
        Retention.of({"datas": "x"})


def test_a_field_as_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--train.data", "x.jsonl", "--retention.data"]
    values = parse("compare", CompareConfig, [*given, "y.jsonl", "--retention.limit", "3"], description="")
    assert CompareConfig(**values).retention == Retention(data="y.jsonl", limit=3)
    ended = command_here(capsys, "compare", *given, "y.jsonl", "--retention.limit", "0")
    assert (ended.code, ended.err.strip()) == (2, "entrotune compare: retention.limit must be at least 1, not 0")
    ended = command_here(capsys, "compare", *given, "y.jsonl", "--retention.limt", "3")
    assert "there is no option --retention.limt; did you mean --retention.limit?" in ended.err
