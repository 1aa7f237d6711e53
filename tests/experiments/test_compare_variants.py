"""Variants that change more than the objective, merged variants, and what is measured after epochs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrotune import CompareConfig, TrainConfig, compare, merge
from entrotune.errors import UserError
from entrotune.experiments.compare_variants import slug
from experiments.conftest import small, validation_nll

VARIANTS: dict[str, Any] = {
    "decay": {"weight_decay": 0.3, "epochs": 3},
    "NEFTune": {"neftune_noise_alpha": 5},
    "held": {"objective": "ce - alpha*entropy", "coefficients": {"alpha": {"linear": [0, 0.2]}}},
    "half of ce": {"interpolate": 0.5, "from": "ce"},
}


@pytest.fixture(scope="module")
def varied(model: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CompareConfig, dict[str, Any]]:
    out = tmp_path_factory.mktemp("varied") / "comparison"
    options = {"objectives": None, "variants": VARIANTS, "temperatures": [1.0], "measure_at": [1, 2]}
    config = small(model, rows, out, **options)
    config = config.replace(train=config.train.replace(keep_checkpoints=1, learning_rate=1e-2))
    return config, compare(config, progress=False)


def _variant(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(variant for variant in record["variants"] if variant["name"] == name)


def _recipe(variant: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((Path(variant["runs"][0]) / "recipe.yaml").read_text(encoding="utf-8"))
    return found


def test_each_run_has_its_own_fields_and_nothing_else(varied: tuple[CompareConfig, dict[str, Any]]) -> None:
    _, record = varied
    assert [variant["name"] for variant in record["variants"]] == ["base", "ce", *VARIANTS]
    usual = _recipe(_variant(record, "ce"))
    for name, changes in list(VARIANTS.items())[:3]:
        own = _recipe(_variant(record, name))
        assert {key for key in own if own[key] != usual[key]} - {"out", "keep_checkpoints"} == changes.keys()
        assert {key: own[key] for key in changes} == changes
        assert _variant(record, name)["differs"] == changes
    assert _variant(record, "ce")["differs"] == {}
    marks = {variant["name"]: variant["settings"][0]["reference"] for variant in record["variants"]}
    assert [name for name, is_reference in marks.items() if is_reference] == ["base", "ce"]


def test_noise_is_on_the_training_side_only(varied: tuple[CompareConfig, dict[str, Any]]) -> None:
    _, record = varied
    plain, noisy = (_variant(record, name)["curve"] for name in ("ce", "NEFTune"))
    assert [row["nll"] for row in plain if row["step"] == 0] == [row["nll"] for row in noisy if row["step"] == 0]
    firsts = [next(row["nll"] for row in rows if row["split"] == "train") for rows in (plain, noisy)]
    assert abs(firsts[0] - firsts[1]) > 1e-4


def test_a_merged_variant_is_the_model_that_merge_makes(
    varied: tuple[CompareConfig, dict[str, Any]], tmp_path: Path
) -> None:
    config, record = varied
    half = _variant(record, "half of ce")
    assert (half["runs"], half["curve"], half["objective"]) == ([], [], "ce")
    assert "stops" not in half
    merge(_variant(record, "ce")["runs"][0], interpolate=0.5, out=str(tmp_path / "half"), progress=False)
    assert half["settings"][0]["metrics"]["nll"]["value"] == pytest.approx(
        validation_nll(config.train, tmp_path / "half"), abs=1e-5
    )
    pairs = {(entry["a"]["variant"], entry["b"]["variant"]) for entry in record["comparisons"]}
    assert ("half of ce", "ce") in pairs


def test_models_are_measured_in_the_precision_asked_for(model: Path, rows: Path, tmp_path: Path) -> None:
    """Trained, and merged, in float32; rounded afterwards."""
    merged = {"half of ce": {"interpolate": 0.5, "from": "ce"}}
    more: dict[str, Any] = {"objectives": None, "variants": merged, "temperatures": [1.0], "measure_at": [1]}
    config = small(model, rows, tmp_path / "out", dtype="bfloat16", **more)
    config = config.replace(train=config.train.replace(learning_rate=1e-2))
    record = compare(config, progress=False)
    run = Path(_variant(record, "ce")["runs"][0])
    merge(str(run), interpolate=0.5, out=str(tmp_path / "half"), progress=False)
    for name, made in (("base", model), ("ce", run), ("half of ce", tmp_path / "half")):
        found = _variant(record, name)["settings"][0]["metrics"]["nll"]["value"]
        assert found == pytest.approx(validation_nll(config.train, made, dtype="bfloat16"), abs=5e-7), name
        assert abs(found - validation_nll(config.train, made)) > 3e-6, name
    assert record["recipe"]["dtype"] == "bfloat16"
    with pytest.raises(UserError, match=r"another recipe \(see dtype\)"):
        compare(config.replace(dtype="float32", resume=True), progress=False)
    with pytest.raises(UserError, match="dtype is 'int8'; expected one of float32, bfloat16, float16"):
        config.replace(dtype="int8")


def test_samples_after_epochs_are_those_of_the_checkpoints(varied: tuple[CompareConfig, dict[str, Any]]) -> None:
    _, record = varied
    for name in ("ce", "NEFTune", "held"):
        variant = _variant(record, name)
        assert [(one["epoch"], one["step"]) for one in variant["epochs"]] == [(1.0, 5), (2.0, 10)]
        # The last epoch's weights are the model's.
        last, final = variant["epochs"][-1]["metrics"], variant["settings"][0]["metrics"]
        assert last["length"] == final["length"]
        assert last["distinct_1"] == final["distinct_1"]
    decay = _variant(record, "decay")
    assert [one["epoch"] for one in decay["epochs"]] == [1.0, 2.0]
    kept = [path.name for path in (Path(decay["runs"][0]) / "checkpoints").iterdir()]
    assert kept == ["step-15"]  # what was kept for measuring is dropped afterwards


def test_where_each_stops_is_the_least_validation_nll(varied: tuple[CompareConfig, dict[str, Any]]) -> None:
    _, record = varied
    for name in ("ce", "decay"):
        variant = _variant(record, name)
        validations = [row for row in variant["curve"] if row["split"] == "validation" and row["step"] > 0]
        best = min(validations, key=lambda row: row["nll"])
        stops = {key: estimate["value"] for key, estimate in variant["stops"].items()}
        assert stops == {"epoch": best["epoch"], "nll": best["nll"], "rise": validations[-1]["nll"] - best["nll"]}
        assert stops["nll"] == variant["best_nll"]


def test_several_seeds_give_intervals_of_where_they_stop(compared: tuple[Path, dict[str, Any]]) -> None:
    variant = _variant(compared[1], "ce")
    best = [
        min(row["nll"] for row in variant["curve"] if row["split"] == "validation" and row["seed"] == s) for s in (0, 1)
    ]
    found = variant["stops"]["nll"]
    assert found["value"] == pytest.approx(sum(best) / 2)
    assert found["n"] == 2
    # Student's t for two values: the arm is 12.706 times half their distance.
    assert (found["high"] - found["low"]) / 2 == pytest.approx(12.706 * abs(best[0] - best[1]) / 2, rel=1e-3)


def test_resumed_it_measures_nothing_twice_and_refuses_another_recipe(
    varied: tuple[CompareConfig, dict[str, Any]],
) -> None:
    config, record = varied
    epochs = Path(_variant(record, "ce")["runs"][0]) / "epochs.json"
    written = epochs.stat().st_mtime_ns
    for changes in (
        {"variants": VARIANTS | {"decay": {"weight_decay": 0.2}}},
        {"measure_at": "epoch"},
        {"variants": {key: value for key, value in VARIANTS.items() if key != "held"}},
    ):
        with pytest.raises(UserError, match=f"another recipe \\(see {next(iter(changes))}\\)"):
            compare(config.replace(resume=True, **changes), progress=False)
    again = compare(config.replace(resume=True), progress=False)
    assert epochs.stat().st_mtime_ns == written
    assert json.dumps(again["variants"]) == json.dumps(record["variants"])
    assert again["comparisons"] == record["comparisons"]


def test_the_report_tells_variants_and_epochs(varied: tuple[CompareConfig, dict[str, Any]]) -> None:
    config, _ = varied
    page = (Path(config.out) / "report.html").read_text(encoding="utf-8")
    for told in (
        "weight_decay 0.3, epochs 3",
        "objective ce - alpha*entropy, coefficients",
        "0.5 of ce and 0.5 of the untouched model, not trained",
        "Where each stops generalising",
        "Diversity over epochs",
    ):
        assert told in page, told


def _plans(**options: Any) -> dict[str, dict[str, Any]]:
    config = CompareConfig(train=TrainConfig(data="x.jsonl"), **options)
    return {plan.name: dict(plan.differs) for plan in config.plans}


def test_coefficients_are_shared_by_the_objectives_that_have_the_name() -> None:
    found = _plans(
        objectives=["ce - a*entropy", "gem"],
        variants={
            "own": {"objective": "ce - a*entropy", "coefficients": {"a": 0.3}},
            "two": {"objective": "ce + b*dft"},
        },
        coefficients={"a": 0.1, "b": {"linear": [0, 1]}},
    )
    assert found == {
        "ce": {},
        "ce - a*entropy": {"coefficients": {"a": 0.1}},
        "gem(beta=0.7)": {},
        "own": {"objective": "ce - a*entropy", "coefficients": {"a": 0.3}},
        "two": {"objective": "ce + b*dft", "coefficients": {"b": {"linear": [0, 1]}}},
    }
    # A recipe of one run brings its own.
    train = TrainConfig(data="x.jsonl", objective="ce - a*entropy", coefficients={"a": 0.2})
    config = CompareConfig(train=train, objectives=["ce - a*entropy"])
    assert [config.run(plan, 0).coefficients for plan in config.plans] == [None, {"a": 0.2}]


def test_named_variants_stand_beside_ce_alone_unless_objectives_are_given() -> None:
    assert list(_plans(variants={"d": {"weight_decay": 0.1}})) == ["ce", "d"]
    assert list(_plans()) == ["ce", "ce - 0.1*entropy", "gem(beta=0.7)"]
    half = {"objective": "gem", "interpolate": 0.5}
    assert _plans(objectives=["gem"], variants={"h": half})["h"] == {"interpolate": 0.5, "from": "gem(beta=0.7)"}


def test_a_recipe_with_variants_round_trips() -> None:
    config = CompareConfig(train=TrainConfig(data="x.jsonl"), variants=VARIANTS, measure_at=[1, 3])
    read = yaml.safe_load(yaml.safe_dump(config.recipe(), sort_keys=False))
    again = CompareConfig(train=TrainConfig(**read.pop("train")), **read)
    assert again == config
    assert again.plans == config.plans


def test_folder_names() -> None:
    assert slug("ce - 0.1*entropy") == "ce-0.1-entropy"
    assert slug("NEFTune 5") == "neftune-5"
    assert slug("../..") == ""
    assert slug("Größe_2/日本") == "größe-2-日本"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"variants": {"a": {"weight_decy": 1}}},
            r"variants\.a\.weight_decy is no field .* did you mean weight_decay\?",
        ),
        ({"variants": {"a": {"data": "y"}}}, "all variants share it; set train.data"),
        ({"variants": {"a": 3}}, "expected fields such as"),
        ({"variants": {"ce": {"weight_decay": 0.1}}}, "give the variant another name"),
        ({"variants": {"base": {"weight_decay": 0.1}}}, "give the variant another name"),
        ({"variants": {"a": {}}}, "would be trained exactly as ce"),
        ({"variants": {"a": {"weight_decay": 2}}}, r"variants\.a: weight_decay must be"),
        ({"variants": {"a": {"packing": "yes"}}}, "packing must be true or false"),
        ({"variants": {"a": {"method": "full"}}}, "give it a learning_rate, such as 2e-05"),
        ({"variants": {"a": {"reference": "m"}}}, "compares with none"),
        ({"variants": {"a": {"objective": "ce - x*entropy"}}}, "coefficient x .* has no value"),
        ({"variants": {"a": {"interpolate": 1.0, "from": "ce"}}}, "between 0 .* and 1 .*, not 1.0"),
        ({"variants": {"a": {"interpolate": 0.5, "from": "b"}}}, "the trained variants are ce"),
        ({"variants": {"a": {"interpolate": 0.5, "from": "ce", "epochs": 2}}}, "has from and epochs"),
        ({"variants": {"a": {"interpolate": 0.5, "epochs": 2}}}, "no variant is trained so"),
        ({"variants": {"..": {"weight_decay": 0.1}}}, "needs a letter or a digit"),
        ({"objectives": ["gem"], "variants": {"gem-beta-0.7": {"epochs": 2}}}, "would share the folder gem-beta-0.7"),
        ({"coefficients": {"alpha": 0.1}}, "names 'alpha', which is in no objective"),
        ({"measure_at": [4]}, "epochs from 1 to the 3 of ce"),
        ({"measure_at": []}, "epochs from 1 to the 3 of ce"),
        ({"measure_at": [2], "variants": {"a": {"epochs": 1}}}, "epochs from 1 to the 1 of a"),
    ],
)
def test_variants_that_make_no_sense(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        CompareConfig(train=TrainConfig(data="x.jsonl"), **options)


def test_an_objective_of_the_shared_recipe_is_a_variant_or_refused() -> None:
    train = TrainConfig(data="x.jsonl", objective="dft")
    with pytest.raises(UserError, match=r"train\.objective is 'dft', which is in no variant; name it in objectives"):
        CompareConfig(train=train)
    assert [plan.name for plan in CompareConfig(train=train, objectives=["dft"]).plans] == ["ce", "dft"]


def test_measuring_after_epochs_needs_checkpoints_there() -> None:
    with pytest.raises(UserError, match="save_every of ce is 5; set it to epoch"):
        CompareConfig(train=TrainConfig(data="x.jsonl", save_every=5), measure_at="epoch")
