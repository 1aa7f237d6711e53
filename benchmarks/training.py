"""Whole training steps on a GPU: `EntropicTrainer` beside TRL's `SFTTrainer` on the same rows.

    python benchmarks/training.py --out benchmarks/h100.jsonl
    python benchmarks/training.py --out toy.jsonl --device cpu --toy

Models have random weights, in bfloat16, and rows are full: 2048 tokens each, all supervised. Every measurement is a
process of its own; rounds go over all ways in turn. Appends JSON lines, and a second run skips what the file has;
`--dry-run` prints the plan. Time counts from the end of the warm-up steps to the end of the last, device included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measurements import settled

WAYS = {"entropic": "ce - 0.1*entropy", "ce": "ce", "trl": "nll"}
ROUNDS, WARM_UPS, STEPS, LIMIT = 2, 4, 16, 150.0
ESTIMATE = 32.0  # seconds of a process, most of them imports
ROW = 2048
SHAPES: dict[str, dict[str, Any]] = {
    "SmolLM2-135M": {
        "rows": 8,
        "config": {
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
        },
    },
    "Llama 1B": {
        "rows": 4,
        "config": {
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
    },
}
TOY: dict[str, dict[str, Any]] = {
    "toy": {
        "rows": 2,
        "config": {
            "vocab_size": 300,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
    }
}
TOY_ROW, TOY_WARM_UPS, TOY_STEPS = 16, 1, 2


def cases(options: argparse.Namespace) -> list[dict[str, str]]:
    """What is measured, in turn; what the file has already is left out."""
    shapes = TOY if options.toy else SHAPES
    shapes = {name: shape for name, shape in shapes.items() if not options.models or name in options.models}
    done = settled(options.out, retry=options.retry)
    checkpointing = "with" if options.checkpointing else "without"
    found = [
        {"way": way, "model": model, "case": f"{model}, {way}, {checkpointing} checkpointing, round {number + 1}"}
        for model in shapes
        for number in range(options.rounds)
        for way in WAYS
    ]
    return [case for case in found if case["case"] not in done]


def measured_apart(case: dict[str, str], options: argparse.Namespace, limit: float) -> list[dict[str, Any]]:
    """The records of a case from a process of its own; an error is its outcome."""
    command = [sys.executable, __file__, "--out", str(options.out), "--device", options.device]
    command += ["--measure", case["way"], case["model"]]
    command += ["--toy"] * options.toy + ["--checkpointing"] * options.checkpointing
    began, status, message, records = time.perf_counter(), "ok", "", []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        status, message = "timeout", f"took more than {limit:.0f} s"
    else:
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"part"')]
        records = [record | case for record in lines]
        if done.returncode or not records:
            status, message = "error", f"exit status {done.returncode}: {done.stderr[-1500:]}"
    seconds = round(time.perf_counter() - began, 1)
    return [
        *records,
        {"part": "case", "job": "training", **case, "status": status, "message": message, "seconds": seconds},
    ]


def measure(way: str, name: str, *, device: str, toy: bool, checkpointing: bool) -> dict[str, Any]:
    """Tokens a second and peak memory of one trainer on one model."""
    import torch

    from measuring import card, setting

    shape = (TOY if toy else SHAPES)[name]
    length, warm_ups, steps = (TOY_ROW, TOY_WARM_UPS, TOY_STEPS) if toy else (ROW, WARM_UPS, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(way, shape, length, warm_ups + steps, folder, device=device, checkpointing=checkpointing)
        watch = Stopwatch(torch.device(device), warm_ups)
        trainer.add_callback(watch.callback())
        losses = trainer.train().training_loss
    tokens = shape["rows"] * length
    on_gpu = device == "cuda"
    return {
        "part": "training",
        "objective": WAYS[way],
        "trainer": type(trainer).__name__,
        "checkpointing": checkpointing,
        "tokens_a_step": tokens,
        "steps": steps,
        "tokens_per_second": round(tokens * steps / watch.seconds),
        "ms_per_step": round(1e3 * watch.seconds / steps, 3),
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "training_loss": losses,
        "card": card(torch.device(device)),
        "setting": setting(torch.device(device)),
    }


class Stopwatch:
    """Seconds from the end of the warm-up steps to the end of training, with the device's work done at both."""

    def __init__(self, device: Any, warm_ups: int) -> None:
        self.device, self.warm_ups = device, warm_ups
        self.began = self.seconds = 0.0

    def callback(self) -> Any:
        """What a trainer calls."""
        from transformers import TrainerCallback

        watch = self

        class Watch(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
                if state.global_step == watch.warm_ups:
                    watch.began = watch.now()
                if state.global_step == state.max_steps:
                    watch.seconds = watch.now() - watch.began

        return Watch()

    def now(self) -> float:
        """Once the device is idle."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def make_trainer(
    way: str, shape: dict[str, Any], length: int, steps: int, folder: str, *, device: str, checkpointing: bool
) -> Any:
    """A trainer of `way` on random weights and random full rows, the same for every way."""
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from entrotune import EntropicTrainer

    torch.manual_seed(0)
    config = LlamaConfig(**shape["config"], tie_word_embeddings=True, max_position_embeddings=8192, pad_token_id=0)
    config.bos_token_id, config.eos_token_id = 1, 2
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16 if device == "cuda" else torch.float32)
    generator = torch.Generator().manual_seed(3)
    vocabulary = config.vocab_size
    rows = torch.randint(3, vocabulary, (shape["rows"] * steps, length), generator=generator).tolist()
    arguments = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=shape["rows"],
        max_steps=steps,
        max_length=length,
        report_to="none",
        save_strategy="no",
        bf16=device == "cuda",
        use_cpu=device == "cpu",
        gradient_checkpointing=checkpointing,
        disable_tqdm=True,
        learning_rate=1e-5,
    )
    data = Dataset.from_dict({"input_ids": rows, "labels": rows})
    kinds = {"model": model, "args": arguments, "train_dataset": data, "processing_class": _tokenizer()}
    trainer = SFTTrainer(**kinds) if way == "trl" else EntropicTrainer(**kinds, objective=WAYS[way])
    trainer.remove_callback(PrinterCallback)
    return trainer


def _tokenizer() -> Any:
    """The special tokens and nothing else: rows are token ids already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    names = ("<pad>", "<s>", "</s>")
    inner = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def run(options: argparse.Namespace) -> None:
    """Every case until the time is over."""
    ends = time.monotonic() + options.budget
    with options.out.open("a", encoding="utf-8") as out:
        for case in cases(options):
            left = ends - time.monotonic()
            if left < 2 * ESTIMATE:
                print(f"left for another run: {case['case']} and what follows", flush=True)
                return
            for record in measured_apart(case, options, min(LIMIT, left)):
                print(json.dumps(record)[:400], flush=True)
                out.write(json.dumps(record) + "\n")
            out.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, appended to")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--toy", action="store_true", help="a tiny model")
    parser.add_argument("--models", nargs="*", help=f"some of: {', '.join(SHAPES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing, TRL's default")
    parser.add_argument("--budget", type=float, default=570.0, help="seconds after which no process starts")
    parser.add_argument("--retry", action="store_true", help="repeat cases that failed or were skipped")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        way, model = options.measure
        found = measure(way, model, device=options.device, toy=options.toy, checkpointing=options.checkpointing)
        print(json.dumps(found))
    elif options.dry_run:
        planned = cases(options)
        for case in planned:
            print(f"{ESTIMATE:6.0f} s  {case['case']}")
        print(f"{ESTIMATE * len(planned):6.0f} s  in all")
    else:
        run(options)


if __name__ == "__main__":
    main()
