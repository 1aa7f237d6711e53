"""What a run writes, and that its numbers are those of its model."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import TrainerCallback, trainer

import entrotune
from entrotune.data import load_rows
from entrotune.errors import UserError
from entrotune.models import check_head
from entrotune.training import TrainConfig, read_rows, run_training
from stopped_runs import leftovers, metrics, weights
from tiny import byte_tokenizer, tiny_llama

Recipe = Callable[..., TrainConfig]


def read(config: TrainConfig, name: str) -> Any:
    return json.loads((Path(config.out) / name).read_text())


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Filled with the model and trainer state at the end of a run."""
    found: dict[str, Any] = {}

    class Watch(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            found.update(model=model, state=state, checkpointing=args.gradient_checkpointing)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
            found.setdefault("rates", []).append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(trainer, "DEFAULT_CALLBACKS", [*trainer.DEFAULT_CALLBACKS, Watch])
    return found


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_folder_of_a_run(recipe: Recipe, data: Path, method: str, trained: dict[str, Any]) -> None:
    with data.open("a") as file:
        file.write('{"prompt": "no answer"}\n{"prompt": "too long", "completion": "' + "x" * 100 + '"}\n')
    config = recipe(method=method, objective="ce - 0.1*entropy")
    record = run_training(config)
    out = Path(config.out)
    names = {".lock", "recipe.yaml", "run.json", "metrics.jsonl", "checkpoints", "model", "rejects.jsonl"}
    assert {path.name for path in out.iterdir()} == names
    assert leftovers(out) == []
    assert read(config, "run.json") == record
    assert record["schema_version"] == 1
    assert (record["kind"], record["status"], record["seed"], record["method"]) == ("run", "finished", 0, method)
    assert record["device"].startswith("cpu (")
    assert record["versions"].keys() >= {"python", "torch", "transformers", "trl", "peft", "entrotune"}
    assert record["git_revision"] is None or len(record["git_revision"].removesuffix("+changes")) == 40
    assert record["started"] <= record["finished"]
    assert 0 < record["seconds"] < 60
    assert record["data"]["rows_read"] == 26
    assert record["data"]["rows_rejected"] == 2
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [25, 26]
    kept = yaml.safe_load((out / "recipe.yaml").read_text())
    assert TrainConfig(**kept) == config
    checkpoints = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert checkpoints == sorted(f"step-{step}" for step in (record["steps"] // 2, record["steps"]))
    assert (out / "model/tokenizer.json").exists()
    assert (out / "model" / ("adapter_model.safetensors" if method == "lora" else "model.safetensors")).exists()
    if method == "lora":
        assert read(config, "model/adapter_config.json")["base_model_name_or_path"] == config.model
        assert record["trainable_parameters"] < record["parameters"] / 2
    else:
        assert record["trainable_parameters"] == record["parameters"] == 34720
    for place in (out, out / "model"):
        model, tokenizer = entrotune.load_model(place, device="cpu")
        ids = torch.tensor([tokenizer("count to 3: 0 1 2")["input_ids"]])
        with torch.no_grad():
            expected = trained["model"].eval()(input_ids=ids).logits
            torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=0, atol=1e-6)


def test_metrics(recipe: Recipe, trained: dict[str, Any]) -> None:
    config = recipe(objective="ce - 0.25*entropy", log_every=2, epochs=2, accumulation=2)
    record = run_training(config)
    raw = [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["split"]) for row in raw] == [
        (0, "validation"),
        (2, "train"),
        (3, "train"),  # logged beside the validation at the end of an epoch, of which it is the whole
        (3, "validation"),
        (4, "train"),
        (6, "train"),
        (6, "validation"),
    ]
    quantiles = [f"entropy_q{q}" for q in ("05", "25", "50", "75", "95")]
    for row in raw:
        for name in ("epoch", "loss", "nll", "entropy", "varentropy", "accuracy", "seconds", *quantiles):
            assert isinstance(row[name], (int, float)), name
            assert math.isfinite(row[name])
        for name in ("step", "tokens", "supervised_tokens"):
            assert type(row[name]) is int, name
        assert 0 <= row["accuracy"] <= 1
        assert sorted(quantiles, key=row.__getitem__) == quantiles
        assert row["loss"] == pytest.approx(row["nll"] - 0.25 * row["entropy"], rel=1e-2)
        only_training = {"coefficients", "learning_rate", "grad_norm", "tokens_per_second"}
        assert only_training <= row.keys() if row["split"] == "train" else not only_training & row.keys()
    training = [row for row in raw if row["split"] == "train"]
    assert all(row["coefficients"] == {"ce": 1, "entropy": -0.25} for row in training)
    assert training[0]["tokens_per_second"] is None
    assert all(row["tokens_per_second"] > 0 for row in training[1:])
    # Tokens are those read so far, in validation rows too; supervised ones are those of the window.
    assert [row["tokens"] for row in raw if row["split"] == "validation"][1:] == [
        record["data"]["train_tokens"],
        2 * record["data"]["train_tokens"],
    ]
    assert sum(row["supervised_tokens"] for row in training) == 2 * record["data"]["supervised_tokens"]
    assert record["tokens"] == 2 * record["data"]["train_tokens"]


def test_the_record_tells_the_validation_nll_of_the_model(recipe: Recipe, overfits: dict[str, Any]) -> None:
    config = recipe(**overfits)
    record = run_training(config)
    rows = {row["step"]: row["nll"] for row in metrics(config.out) if row["split"] == "validation"}
    assert list(rows) == [0, 2, 4, 6, 8, 10, 12]
    assert record["best_step"] == min(rows, key=rows.__getitem__) == 4
    assert (record["start_nll"], record["best_nll"], record["last_nll"]) == (rows[0], rows[4], rows[12])
    assert record["saved_step"] == record["steps"] == 12
    validation = load_rows(config.validation).rows
    for step, place in ((0, config.model), (4, None), (12, config.out)):
        if place is None:
            continue
        model, tokenizer = entrotune.load_model(place, device="cpu")
        nll = []
        for row in validation:
            prompt = tokenizer(row.prompt)["input_ids"]
            ids = torch.tensor([prompt + tokenizer(row.answers[0] + "</s>")["input_ids"]])
            with torch.no_grad():
                log_p = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            nll += (-log_p.gather(-1, ids[0, 1:, None])[len(prompt) - 1 :, 0]).tolist()
        assert rows[step] == pytest.approx(sum(nll) / len(nll), rel=1e-5)


def test_intervals_in_steps_include_the_last_step(recipe: Recipe) -> None:
    config = recipe(evaluate_every=3, save_every=4, max_steps=7, keep_checkpoints=5)
    assert run_training(config)["steps"] == 7
    assert [row["step"] for row in metrics(config.out) if row["split"] == "validation"] == [0, 3, 6, 7]
    assert sorted(path.name for path in (Path(config.out) / "checkpoints").iterdir()) == ["step-4", "step-7"]


def test_the_last_checkpoints_are_kept(recipe: Recipe) -> None:
    config = recipe(save_every=1, max_steps=12, keep_checkpoints=3)
    run_training(config)
    steps = sorted(int(path.name.removeprefix("step-")) for path in (Path(config.out) / "checkpoints").iterdir())
    assert steps == [10, 11, 12]


def test_seeds(recipe: Recipe) -> None:
    configs = [recipe(name, seed=seed, max_steps=2) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    for config in configs:
        run_training(config)
    a, b, c = (weights(Path(config.out) / "model") for config in configs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a)
    # Another seed keeps the validation rows.
    assert [metrics(config.out)[0] for config in configs] == [metrics(configs[0].out)[0]] * 3


def test_packing_keeps_rows_apart(recipe: Recipe) -> None:
    options = {"method": "full", "max_steps": 1, "max_length": 512, "batch_size": 20}
    alone, packed = recipe("alone", **options), recipe("packed", packing=True, **options)
    for config in (alone, packed):
        run_training(config)
    for one, other in zip(metrics(alone.out), metrics(packed.out), strict=True):
        # Dropout on attention draws other numbers; everything is measured on the same tokens.
        assert other["supervised_tokens"] == one["supervised_tokens"]
        assert other["tokens"] == one["tokens"]
    assert metrics(packed.out)[0]["nll"] == pytest.approx(metrics(alone.out)[0]["nll"], rel=1e-5)


def test_schedules(recipe: Recipe, trained: dict[str, Any]) -> None:
    found = {}
    for schedule in ("constant", "linear", "cosine"):
        trained.pop("rates", None)
        run_training(recipe(schedule, schedule=schedule, max_steps=10, warmup=0.2))
        found[schedule] = trained["rates"]
    assert found["constant"] == pytest.approx([0, 0.005] + [0.01] * 8)
    assert found["linear"] == pytest.approx([0, 0.005] + [0.01 * (8 - i) / 8 for i in range(8)])
    assert found["cosine"] == pytest.approx([0, 0.005] + [0.005 * (1 + math.cos(math.pi * i / 8)) for i in range(8)])


def test_gradient_checkpointing_changes_nothing(recipe: Recipe, trained: dict[str, Any]) -> None:
    plain, spared = (recipe(str(on), gradient_checkpointing=on, max_steps=3) for on in (False, True))
    for config in (plain, spared):
        run_training(config)
    assert trained["checkpointing"]
    expected = weights(Path(plain.out) / "model")
    for name, value in weights(Path(spared.out) / "model").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_bfloat16(recipe: Recipe, method: str) -> None:
    exact, half = recipe("exact", method=method), recipe("half", method=method, precision="bfloat16")
    records = [run_training(config) for config in (exact, half)]
    assert records[1]["precision"] == "bfloat16"
    # bfloat16 has 8 bits of mantissa: logits near 1 are right to about 0.004.
    assert records[1]["start_nll"] == pytest.approx(records[0]["start_nll"], abs=0.02)
    assert records[1]["start_nll"] != records[0]["start_nll"]
    # What is trained stays in float32.
    assert {value.dtype for value in weights(Path(half.out) / "model").values()} == {torch.float32}


def test_several_answers_and_a_share_held_out(recipe: Recipe, tmp_path: Path, base: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{i}?", "answers": ["a", "bb", "ccc"]}) + "\n" for i in range(10)))
    _, tokenizer = entrotune.load_model(base, device="cpu")
    rows = read_rows(recipe(data=str(path), validation=0.2, max_answers=2), tokenizer)
    assert (rows.counts["train_rows"], rows.counts["validation_rows"]) == (8, 2)
    assert (rows.counts["train_examples"], rows.counts["validation_examples"]) == (16, 4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_length": 513}, "max_length is 513, but .* reads 512 tokens at most"),
        ({"max_length": 3}, "no usable training row in rows.jsonl: no example is left: .*longer than the limit"),
        ({"on_bad_row": "stop", "max_length": 20}, r"rows.jsonl:\d+.*longer than the limit: \d+ tokens > 20; mend"),
        ({"data": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"model": "nowhere/at-all/here"}, "nowhere/at-all/here"),
        ({"columns": {"prompt": "question"}}, "question"),
        ({"validation": 24}, "validation is 24 of 24 rows"),
        ({"validation": float("nan")}, "validation is nan"),
        ({"lora_targets": "no_proj"}, "LoRA target 'no_proj' is no module"),
        ({"lora_targets": "lm_head"}, "LoRA target 'lm_head' is the output head"),
        ({"report_to": ["no-such-tracker"]}, "report_to names 'no-such-tracker', which is no tracker or"),
    ],
)
def test_bad_input_leaves_nothing(recipe: Recipe, changes: dict[str, Any], says: str) -> None:
    config = recipe(**changes)
    with pytest.raises(UserError, match=says):
        run_training(config)
    assert not Path(config.out).exists()
    # Nor does it cost the run that was to be replaced.
    good = recipe(max_steps=1)
    run_training(good)
    before = {path: path.read_bytes() for path in Path(good.out).rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=says):
        run_training(config.replace(overwrite=True))
    assert {path: path.read_bytes() for path in Path(good.out).rglob("*") if path.is_file()} == before


def test_the_head_is_checked_once_before_the_folder_is_touched(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []

    def counted(model: Any) -> None:
        checked.append((tmp_path / "run").exists())
        check_head(model)

    for place in ("run", "checks"):
        monkeypatch.setattr(f"entrotune.training.{place}.check_head", counted)
    run_training(recipe(max_steps=1))
    assert checked == [False]
    # Llama's own forward knows no such scale.
    tiny_llama(logit_scale=2.0).save_pretrained(tmp_path / "scaled")
    byte_tokenizer(template=None).save_pretrained(tmp_path / "scaled")
    config = recipe("scaled-run", model=str(tmp_path / "scaled"))
    with pytest.raises(UserError, match="the output head of LlamaForCausalLM is not understood"):
        run_training(config)
    assert not Path(config.out).exists()


def test_a_run_that_diverges_says_so(recipe: Recipe) -> None:
    config = recipe(method="full", learning_rate=1e30, max_grad_norm=1e30, schedule="constant")
    with pytest.raises(UserError, match=r"the run diverged: at step \d+ .* nan.*; lower learning_rate") as caught:
        run_training(config)
    assert (read(config, "run.json")["status"], read(config, "run.json")["error"]) == ("failed", str(caught.value))


def test_tensorboard_writes_into_the_run_folder(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    config = recipe(report_to=["tensorboard"], max_steps=1)
    run_training(config)
    assert list((Path(config.out) / "tensorboard").glob("events.*"))
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    run_training(recipe("other", report_to=["tensorboard"], max_steps=1))
    assert list((tmp_path / "board").glob("events.*"))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_reference_is_the_model_as_it_was(recipe: Recipe, method: str) -> None:
    config = recipe(method=method, objective="ce + 0.5*kl(ref)", learning_rate=0.05)
    record = run_training(config)
    assert ("reference" in record) == (method == "full")
    rows = metrics(Path(config.out))
    assert rows[1]["coefficients"] == {"ce": 1.0, "kl(ref)": 0.5}
    # Validation has no dropout, so the untouched model is its own reference.
    divergence = [row["loss"] - row["nll"] for row in rows if row["split"] == "validation"]
    assert divergence[0] == pytest.approx(0.0, abs=1e-6)
    assert divergence[-1] > 1e-5


def test_a_reference_that_nothing_compares_with_is_refused(recipe: Recipe) -> None:
    config = recipe(objective="ce", reference="smollm2-135m", out="runs/refused")
    with pytest.raises(UserError, match="compares with none; leave it out"):
        run_training(config)
    assert not Path(config.out).exists()
