"""The HTML reports: structure, what they say, what they let run, and records that lack parts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrotune.errors import UserError
from entrotune.reports import write_comparison_report, write_evaluation_report, write_report, write_run_report
from entrotune.reports.samples import visible
from reports import records
from reports.pages_read import Page, allowed_scripts, hash_source

ATTACKS = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; alert(1); '",
    "<!--<script>",
    "]]></style><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "\u2028\u2029\u202e\x00\ud800",
]


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., Page]:
    """Write a report and read it back."""

    def write(writer: Callable[..., None], record: dict[str, Any]) -> Page:
        writer(record, tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


WRITERS = [
    pytest.param(write_comparison_report, records.comparison, id="comparison"),
    pytest.param(write_evaluation_report, records.evaluation, id="evaluation"),
    pytest.param(write_run_report, lambda: records.run(evaluation=records.evaluation()), id="run"),
]


@pytest.mark.parametrize(("writer", "make"), WRITERS)
def test_page_is_well_formed_and_complete_in_itself(writer, make, page_of) -> None:
    page = page_of(writer, make())
    assert page.misnested == []
    assert page.one("html")["lang"] == "en"
    assert page.one("meta", name="viewport")["content"] == "width=device-width, initial-scale=1"
    assert [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "base", "object", "form")] == []
    assert [attributes for _, attributes in page.tags if "src" in attributes] == []
    assert all((attributes["href"] or "").startswith("#") for attributes in page.all("a"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(attributes["href"] or "")[1:] for attributes in page.all("a")} <= set(ids)


@pytest.mark.parametrize(("writer", "make"), WRITERS)
def test_policy_allows_exactly_the_scripts_of_the_page(writer, make, page_of) -> None:
    page = page_of(writer, make())
    bodies = [body for attributes, body in page.scripts if attributes.get("type") != "application/json"]
    assert allowed_scripts(page.policy) == {hash_source(body) for body in bodies}
    assert len(bodies) == 2
    assert "default-src 'none'" in page.policy
    handlers = [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert handlers == []


@pytest.mark.parametrize(("writer", "make"), WRITERS)
def test_figures_are_what_plotly_takes_and_each_has_its_place(writer, make, page_of) -> None:
    page = page_of(writer, make())
    for figure in page.figures.values():
        go.Figure({"data": figure["data"], "layout": figure["layout"]})
        assert figure["data"]
    places = [attributes["data-figure"] for _, attributes in page.tags if "data-figure" in attributes]
    assert sorted(places) == sorted(page.figures)
    assert all(attributes.get("aria-label") for attributes in page.all("div", role="img"))


def test_comparison_says_what_was_compared_and_found(page_of) -> None:
    page = page_of(write_comparison_report, records.comparison())
    for phrase in (
        "Three ways to fine-tune SmolLM2-135M-Instruct were compared beside the untouched base model: ce, "
        "ce - 0.1*entropy and gem(beta=0.7).",
        "Each model wrote 8 answers to each of 24 prompts at each of the temperatures 0.7, 1 and 1.3.",
        "gem(beta=0.7) against ce, both at temperature 1: higher distinct-2 +0.054",
        "ce - 0.1*entropy against ce, both at temperature 1: base-model NLL of samples −0.040",
        "3 of 190 rows were rejected",
        "entrotune demo --out runs/demo --seed 0",
        "learning_rate: 0.0005",
        "4 March 2026, 10:20 UTC",
        "6 min 31 s",
        "The effective number of different samples.",
    ):
        assert phrase in page.words


def test_table_has_a_row_per_setting_and_a_cell_per_metric(page_of) -> None:
    record = records.comparison()
    page = page_of(write_comparison_report, record)
    rows = sum(len(variant["settings"]) for variant in record["variants"])
    curves_table = 3
    assert len(page.all("th", scope="row")) == rows + curves_table
    assert len(page.all("td")) == rows * len(records.METRICS) + curves_table * 5
    assert "2.600 2.496 to 2.704" in page.words
    assert page.words.count("n = 24") == len(records.METRICS)


def test_front_carries_every_pair_of_metrics_with_interval_arms(page_of) -> None:
    record = records.comparison()
    front = page_of(write_comparison_report, record).figures["front"]
    assert set(front["axes"]) == {name for name, m in records.METRICS.items() if m["kind"] != "description"}
    metrics = record["variants"][1]["settings"][0]["metrics"]["vendi"]
    column = front["columns"][1]["vendi"]
    assert column["value"][0] == metrics["value"]
    assert column["above"][0] == pytest.approx(metrics["high"] - metrics["value"])
    assert column["below"][0] == pytest.approx(metrics["value"] - metrics["low"])
    assert front["data"][1]["text"] == ["0.7", "1", "1.3"]


def test_front_selects_offer_the_metrics_of_the_record_front_first(page_of) -> None:
    page = page_of(write_comparison_report, records.comparison(front={"quality": "accuracy", "diversity": "vendi"}))
    values = [attributes["value"] for attributes in page.all("option")]
    assert values[0] == "accuracy"
    assert values[values.index("vendi") - 1] in ("nll", "perplexity", "base_nll")
    assert sorted(set(values)) == sorted(values)


def test_best_step_is_marked_and_panels_share_a_scale(page_of) -> None:
    figures = page_of(write_comparison_report, records.comparison()).figures
    panels = [figure for name, figure in figures.items() if name.startswith("curves-")]
    assert len(panels) == 3
    assert len({tuple(panel["layout"]["yaxis"]["range"]) for panel in panels}) == 1
    assert panels[0]["layout"]["shapes"][0]["x0"] == 40
    assert panels[0]["layout"]["annotations"][0]["text"] == "best: step 40"


def test_several_seeds_are_drawn_as_mean_and_band(page_of) -> None:
    rows = [row for seed in (0, 1, 2) for row in records.curve(seed=seed)]
    record = records.comparison(variants=[records.variant("ce", 0.0, [1.0], curve=rows)], seeds=[0, 1, 2])
    page = page_of(write_comparison_report, record)
    low, high, mean = page.figures["nll-overview"]["data"]
    at_zero = [row["nll"] for row in rows if row["split"] == "validation" and row["step"] == 0]
    assert (low["y"][0], high["y"][0]) == (min(at_zero), max(at_zero))
    assert mean["y"][0] == pytest.approx(sum(at_zero) / 3)
    assert high["fill"] == "tonexty"
    assert "The random seeds were 0, 1 and 2." in page.words


def test_equal_answers_are_told_once_with_their_count(page_of) -> None:
    outputs = [{"variant": "ce", "temperature": 1.0, "texts": ["yes", "no", "yes", "  "]}]
    sample = {"prompt_id": "p", "prompt": "q?", "references": [], "outputs": outputs}
    page = page_of(write_comparison_report, records.comparison(samples=[sample]))
    assert "3 distinct of 4" in page.words
    assert "×2" in page.words
    assert "(empty)" in page.words


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text(attack: str, page_of) -> None:
    outputs = [{"variant": attack, "temperature": 1.0, "texts": [attack]}]
    record = records.comparison(
        title=attack,
        command=attack,
        variants=[records.variant(attack, 0.0, [0.7, 1.0]), records.variant("ce", 0.0, [1.0])],
        samples=[{"prompt_id": attack, "prompt": attack, "references": [attack], "outputs": outputs}],
        recipe={attack: attack},
        metrics={**records.METRICS, "nll": {**records.METRICS["nll"], "label": attack, "unit": attack}},
        versions={attack: attack},
        data={"source": attack, "format": attack},
    )
    plain = page_of(write_comparison_report, records.comparison())
    page = page_of(write_comparison_report, record)
    assert page.misnested == []
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert [key for _, attributes in page.tags for key in attributes if key.startswith("on")] == []
    bodies = [body for attributes, body in page.scripts if attributes.get("type") != "application/json"]
    assert allowed_scripts(page.policy) == {hash_source(body) for body in bodies}
    assert visible(attack) in page.text
    names = [trace["name"] for trace in page.figures["front"]["data"]]
    assert all("<" not in name for name in names)


def test_embedded_json_holds_no_character_that_could_end_it(tmp_path: Path) -> None:
    hostile = "</script>&\u2028\u2029"
    variants = [records.variant(hostile, 0.0, [1.0])]
    write_comparison_report(records.comparison(variants=variants), tmp_path / "r.html")
    markup = (tmp_path / "r.html").read_text(encoding="utf-8")
    start = markup.index('id="figures">') + len('id="figures">')
    embedded = markup[start : markup.index("</script>", start)]
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded)["front"]["data"][0]["name"] == "&lt;/script&gt;&amp;\u2028\u2029"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None), min_size=1, max_size=40))
def test_any_text_survives_the_page_unchanged(text: str, tmp_path: Path) -> None:
    # The marks keep the parser's and the page's own white space apart from the text's.
    marked = f"⟦{text}⟧"
    sample = {"prompt_id": "p", "prompt": marked, "references": [], "outputs": []}
    write_evaluation_report(records.evaluation(samples=[sample], settings=[]), tmp_path / "r.html")
    assert visible(marked) in Page((tmp_path / "r.html").read_bytes().decode("utf-8")).text


SPARSE: list[Any] = [
    pytest.param({"variants": []}, "This record holds no variants.", id="no variants"),
    pytest.param({"variants": [{"name": "ce"}]}, "No samples were drawn.", id="a name only"),
    pytest.param({"samples": None, "comparisons": None}, "This record holds no samples.", id="null parts"),
    pytest.param({"metrics": None, "front": None}, "so there is no front to draw", id="undescribed metrics"),
    pytest.param({"variants": [records.variant("ce", 0.0, [1.0], curve=None)]}, "no learning curves", id="no curve"),
    pytest.param({"variants": [records.variant("base", 0.0, [1.0], tuned=False)]}, "untouched", id="base only"),
]


@pytest.mark.parametrize(("parts", "said"), SPARSE)
def test_missing_parts_are_said_to_be_missing(parts: dict[str, Any], said: str, page_of) -> None:
    page = page_of(write_comparison_report, records.comparison(**parts))
    assert page.misnested == []
    assert said in page.words


@pytest.mark.parametrize("kind", ["comparison", "evaluation"])
def test_the_smallest_record_makes_a_page(kind: str, page_of) -> None:
    record = {"schema_version": 1, "kind": kind, "variants": [], "settings": []}
    page = page_of(write_comparison_report if kind == "comparison" else write_evaluation_report, record)
    assert page.misnested == []
    assert "This record does not say how it was made." in page.words


def test_null_intervals_and_numbers_that_are_not_finite_are_left_out(page_of) -> None:
    metrics = {"nll": float("nan"), "distinct_2": records.estimate(0.5), "vendi": {"value": None}}
    variant = records.variant("ce", 0.0, [], settings=[{"temperature": None, "metrics": metrics}])
    variant["curve"][0]["nll"] = float("inf")
    page = page_of(write_comparison_report, records.comparison(variants=[variant]))
    assert "nan" not in page.words.lower().split()
    assert "inf" not in page.words.lower().split()
    assert "0.500" in page.words


def test_twelve_variants_each_look_different_and_only_one_writes_its_temperatures(page_of) -> None:
    variants = [records.variant(f"ce - {i}*entropy", i / 12, [0.5, 1.0, 1.5]) for i in range(12)]
    page = page_of(write_comparison_report, records.comparison(variants=variants))
    traces = page.figures["front"]["data"]
    looks = {(t["meta"]["colour"], t["line"]["dash"], t["marker"]["symbol"]) for t in traces}
    assert len(looks) == 12
    assert [t["mode"] for t in traces].count("lines+markers+text") == 1
    assert "written beside those of the first variant" in page.words


def test_run_report_shows_the_course_and_the_best_step(page_of) -> None:
    page = page_of(write_run_report, records.run())
    assert {"nll", "entropy", "accuracy", "coefficients", "learning_rate", "grad_norm"} <= set(page.figures)
    assert "40 best 2" in page.words
    names = [trace["name"] for trace in page.figures["coefficients"]["data"]]
    assert names == ["ce", "entropy"]


@pytest.mark.parametrize("rows", [[], records.metrics_rows(validation=False), [{"step": 1}]])
def test_run_report_of_a_young_run(rows: list[dict[str, Any]], page_of) -> None:
    assert page_of(write_run_report, {"metrics": rows}).misnested == []


@pytest.mark.parametrize("rows", [None, "text", [1]])
def test_run_report_needs_rows(rows: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        write_run_report({"metrics": rows}, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_wrong_kind_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='"comparison" is needed here, got one of kind "evaluation"'):
        write_comparison_report(records.evaluation(), tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_write_report_finds_what_a_folder_holds(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records.metrics_rows()))
    assert write_report(run) == run / "report.html"
    assert "Training run run" in Page((run / "report.html").read_text(encoding="utf-8")).words
    (tmp_path / "evaluation.json").write_text(json.dumps(records.evaluation()))
    assert write_report(tmp_path) == tmp_path / "report.html"
    (tmp_path / "comparison.json").write_text(json.dumps(records.comparison()))
    out = tmp_path / "other" / "page.html"
    assert write_report(tmp_path / "comparison.json", out) == out
    assert "Three objectives on small talk" in Page(out.read_text(encoding="utf-8")).words
    with pytest.raises(UserError, match="holds nothing to report on"):
        write_report(tmp_path / "other")
