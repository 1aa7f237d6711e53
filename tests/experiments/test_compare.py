"""What a comparison writes, against its own runs, samples and the models it saved."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from entrotune import CompareConfig, TrainConfig, compare
from entrotune.errors import UserError
from experiments.conftest import small

Compared = tuple[Path, dict[str, Any]]
NAMES = ["base", "ce", "gem(beta=0.7)", "ce - 0.1*entropy"]


def _variant(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(variant for variant in record["variants"] if variant["name"] == name)


def _metrics(run: str | Path, split: str) -> list[dict[str, Any]]:
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def _setting(variant: dict[str, Any], temperature: float) -> dict[str, Any]:
    return next(setting for setting in variant["settings"] if setting["temperature"] == temperature)


def test_record_on_disk_has_every_part(compared: Compared) -> None:
    out, record = compared
    assert json.loads((out / "comparison.json").read_text(encoding="utf-8")) == record
    header = {"schema_version", "kind", "title", "created", "command", "seeds", "versions", "device", "git_revision"}
    parts = {
        "seconds",
        "model",
        "recipe",
        "data",
        "conventions",
        "variants",
        "metrics",
        "front",
        "comparisons",
        "samples",
    }
    assert header | parts <= record.keys()
    assert (record["schema_version"], record["kind"], record["seeds"]) == (1, "comparison", [0, 1])
    assert record["seconds"].keys() == {"train", "evaluate", "total"}
    assert record["data"] | {"rows_read": 24, "train_rows": 18, "validation_rows": 6, "prompts": 4} == record["data"]
    assert record["recipe"] == yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
    for variant in record["variants"]:
        assert [setting["temperature"] for setting in variant["settings"]] == [1.0, 1.5]
        for setting in variant["settings"]:
            assert {"nll", "perplexity", "entropy", "distinct_2", "vendi", "base_nll"} <= setting["metrics"].keys()
            assert set(setting["metrics"]) <= set(record["metrics"])
            for estimate in setting["metrics"].values():
                assert estimate.keys() >= {"value", "low", "high", "n"}
    shown = record["samples"][0]
    assert len(record["samples"]) == 4
    assert [(o["variant"], o["temperature"]) for o in shown["outputs"]] == [(n, t) for n in NAMES for t in (1.0, 1.5)]
    assert all(len(output["texts"]) == 3 for output in shown["outputs"])


def test_base_and_ce_are_always_there_and_the_order_is_kept(compared: Compared) -> None:
    record = compared[1]
    assert [variant["name"] for variant in record["variants"]] == NAMES
    assert [variant["tuned"] for variant in record["variants"]] == [False, True, True, True]
    assert [len(variant["runs"]) for variant in record["variants"]] == [0, 2, 2, 2]
    marks = [{setting["reference"] for setting in variant["settings"]} for variant in record["variants"]]
    assert marks == [{True}, {True}, {False}, {False}]


def test_one_start_one_order_one_set_of_rows(compared: Compared) -> None:
    record = compared[1]
    runs = {variant["name"]: variant["runs"] for variant in record["variants"] if variant["tuned"]}
    for seed in (0, 1):
        firsts = [_metrics(paths[seed], "train")[0] for paths in runs.values()]
        assert len({row["nll"] for row in firsts}) == 1  # before the first update the objective cannot matter
        assert len({row["loss"] for row in firsts}) == 3  # and it is the objectives' own values that differ
        # The tokens seen by each step tell batches of other rows, or in another order, apart.
        orders = [[row["tokens"] for row in _metrics(paths[seed], "train")] for paths in runs.values()]
        assert orders[0] == orders[1] == orders[2]
        records = [json.loads((Path(paths[seed]) / "run.json").read_text(encoding="utf-8")) for paths in runs.values()]
        assert len({found["data"]["fingerprint"] for found in records}) == 1
    between = [_metrics(path, "train")[0]["nll"] for path in runs["ce"]]
    assert between[0] != between[1]  # another seed, another order


def test_nll_at_temperature_one_is_the_validation_nll_of_training(compared: Compared) -> None:
    record = compared[1]
    for name in NAMES[1:]:
        variant = _variant(record, name)
        last = [_metrics(path, "validation")[-1]["nll"] for path in variant["runs"]]
        assert _setting(variant, 1.0)["metrics"]["nll"]["value"] == pytest.approx(np.mean(last), abs=1e-4)
    start = _metrics(_variant(record, "ce")["runs"][0], "validation")[0]
    assert start["step"] == 0
    base = _setting(_variant(record, "base"), 1.0)
    assert base["metrics"]["nll"]["value"] == pytest.approx(start["nll"], abs=1e-4)


def test_nll_is_over_the_tokens_that_training_supervises(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", objectives=["ce"])
    record = compare(config.replace(train=config.train.replace(supervise="all")), progress=False)
    variant = _variant(record, "ce")
    last = _metrics(variant["runs"][0], "validation")[-1]["nll"]
    assert _setting(variant, 1.0)["metrics"]["nll"]["value"] == pytest.approx(last, abs=1e-4)


def test_rejected_rows_are_told(model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "rows.jsonl"
    broken.write_text(rows.read_text(encoding="utf-8") + "{not json\n", encoding="utf-8")
    compare(small(model, broken, tmp_path / "out", objectives=["ce"], samples=1))
    assert "rows rejected; rejects.jsonl in the folder of each run says which and why" in capsys.readouterr().err
    (rejects,) = (tmp_path / "out").rglob("rejects.jsonl")
    assert "not json" in rejects.read_text(encoding="utf-8")


def test_seeds_are_averaged_for_each_prompt_and_differences_are_paired(compared: Compared) -> None:
    _, record = compared

    def lengths(name: str) -> np.ndarray:
        """[seeds, prompts]: mean tokens a response, from the samples on disk."""
        found = []
        for run in _variant(record, name)["runs"]:
            lines = (Path(run) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
            samples = [row for row in map(json.loads, lines) if row["temperature"] == 1.5]
            ids = sorted({row["prompt_id"] for row in samples})
            found.append([np.mean([row["tokens"] for row in samples if row["prompt_id"] == one]) for one in ids])
        return np.array(found)

    for name in NAMES[1:]:
        shown = _setting(_variant(record, name), 1.5)["metrics"]["length"]
        assert shown["value"] == pytest.approx(lengths(name).mean(0).mean())
        assert shown["n"] == 4


def test_differences_are_differences_of_the_settings_and_words_follow_numbers(compared: Compared) -> None:
    record = compared[1]
    pairs = {(entry["a"]["variant"], entry["b"]["variant"]) for entry in record["comparisons"]}
    assert pairs == {("gem(beta=0.7)", "ce"), ("ce - 0.1*entropy", "ce"), ("ce", "base")}
    for entry in record["comparisons"]:
        metric, found = entry["metric"], entry["difference"]
        sides = [_setting(_variant(record, entry[side]["variant"]), entry[side]["temperature"]) for side in ("a", "b")]
        values = [setting["metrics"][metric]["value"] for setting in sides]
        assert found["value"] == pytest.approx(values[0] - values[1], abs=1e-9)
        assert found["low"] is None or found["low"] <= found["value"] <= found["high"]
        told = {"higher": "a higher", "lower": "a lower", "no difference shown": "o difference shown in"}
        assert told[entry["verdict"]] in entry["sentence"]
        assert entry["seeds"]["n"] == len(record["seeds"])
        intervals = (found, entry["seeds"])
        if entry["verdict"] == "higher":
            assert all(interval["low"] > 0 for interval in intervals)
        elif entry["verdict"] == "lower":
            assert all(interval["high"] < 0 for interval in intervals)
        else:
            assert found["low"] is None or any(interval["low"] <= 0 <= interval["high"] for interval in intervals)
    tuning = next(e for e in record["comparisons"] if e["metric"] == "nll" and e["b"]["variant"] == "base")
    assert tuning["verdict"] == "lower"
    assert "ce has a lower validation NLL than the untouched model" in tuning["sentence"]


def test_an_interval_of_a_paired_difference_is_narrower_than_of_unpaired_ones(compared: Compared) -> None:
    record = compared[1]
    entry = next(e for e in record["comparisons"] if e["metric"] == "nll" and e["a"]["variant"] == "gem(beta=0.7)")
    width = entry["difference"]["high"] - entry["difference"]["low"]
    own = [_setting(_variant(record, name), 1.0)["metrics"]["nll"] for name in ("gem(beta=0.7)", "ce")]
    assert width < 0.5 * min(estimate["high"] - estimate["low"] for estimate in own)


def test_objectives_are_named_once_with_ce_first() -> None:
    train = TrainConfig(data="x.jsonl")
    assert CompareConfig(train=train, objectives=["gem(beta=0.7)", "ce", "gem(beta = 0.70)"]).objectives == [
        "ce",
        "gem(beta=0.7)",
    ]
    assert CompareConfig(train=train, objectives=[]).objectives == ["ce"]
    assert CompareConfig(train=train, temperatures=(0.7, 1.2)).temperatures == [0.7, 1.2]  # type: ignore[arg-type]
    assert CompareConfig(train=train, temperatures=[0.7, 1.2]).reference_temperature == 1.2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": []}, "seeds must be one or more different whole numbers"),
        ({"seeds": [1, 1]}, "seeds must be one or more different whole numbers"),
        ({"temperatures": [1e-320]}, r"temperatures must be from 1e-30 to 1e\+30, not \[1e-320\]"),
        ({"temperatures": [0.0]}, "temperatures must be numbers above 0"),
        ({"temperatures": [float("nan")]}, "temperatures must be numbers above 0"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"samples": 10**12}, r"responses are wanted \(samples 1,000,000,000,000, prompts"),
        ({"sampling_seed": -1}, r"sampling_seed must be a whole number from 0 to 2\*\*32 - 1, not -1"),
        ({"objectives": ["entrpy"]}, "did you mean 'entropy'"),
        ({"resume": True, "overwrite": True}, "contradict"),
    ],
)
def test_recipes_that_make_no_sense(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        CompareConfig(train=TrainConfig(data="x.jsonl"), **changes)


def test_a_diversity_that_the_rows_do_not_allow_is_refused_before_anything_is_written(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    config = small(model, rows, tmp_path / "out", diversity="ngram_coverage")
    for dry_run in (True, False):
        with pytest.raises(UserError, match="diversity is ngram_coverage, but no held-out row has two different refer"):
            compare(config, dry_run=dry_run, progress=False)
    assert not (tmp_path / "out").exists()


def test_dry_run_counts_and_writes_nothing(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", seeds=[0, 1], prompts=100)
    plan = compare(config, dry_run=True)
    assert not (tmp_path / "out").exists()
    assert plan["objectives"] == NAMES[1:]
    assert plan["runs"] == 6
    assert plan["steps"] == 6 * 2 * 5  # 18 rows in batches of 4 are 5 steps an epoch
    assert plan["settings"] == (1 + 6) * 2
    assert compare(config.replace(match_diversity=False), dry_run=True)["responses"] == 14 * 3 * 6
    assert plan["settings_to_match_at_most"] == 2 * 2 * 2  # rounds, variants other than ce, seeds
    assert plan["responses"] == (14 + 8) * 3 * 6  # there are only 6 different prompts
    assert plan["new_tokens_at_most"] == plan["responses"] * 4


def test_a_dry_run_tells_in_which_variant_entropy_wins(model: Path, rows: Path, tmp_path: Path) -> None:
    config = small(model, rows, tmp_path / "out", objectives=["ce - 2*entropy"])
    with pytest.warns(UserWarning, match=r"^ce - 2\*entropy: entropy wins"):
        compare(config, dry_run=True)


def test_ce_is_measured_where_it_is_as_diverse(model: Path, rows: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"temperatures": [0.3, 1.0], "diversity": "vendi", "max_new_tokens": 16, "samples": 8}
    config = small(model, rows, tmp_path / "out", objectives=["gem(beta=0.5)"], match_diversity=False, **changes)
    config = config.replace(train=config.train.replace(epochs=15, learning_rate=1e-2))
    without = compare(config, progress=False)
    assert [[s["temperature"] for s in variant["settings"]] for variant in without["variants"]] == [[0.3, 1.0]] * 3
    # Nothing is trained or sampled again; ce alone is sampled at more temperatures.
    record = compare(config.replace(match_diversity=True, resume=True), progress=False)
    assert [v["runs"] for v in record["variants"]] == [v["runs"] for v in without["variants"]]
    base, ce, gem = record["variants"]
    assert [base["settings"], gem["settings"]] == [_variant(without, v["name"])["settings"] for v in (base, gem)]
    found = [setting["temperature"] for setting in ce["settings"]]
    assert found == sorted(found)
    assert 1 <= len(set(found) - {0.3, 1.0}) <= 2
    for setting in _variant(without, "ce")["settings"]:
        assert setting in ce["settings"]

    def away(compared: dict[str, Any]) -> float:
        """From the diversity that is to be met to the nearest of `ce`."""
        matched = next(entry for entry in compared["comparisons"] if "matched_on" in entry)
        wanted = _setting(gem, matched["a"]["temperature"])["metrics"]["vendi"]["value"]
        return min(abs(s["metrics"]["vendi"]["value"] - wanted) for s in _variant(compared, "ce")["settings"])

    assert away(record) < away(without)
