"""Scoring side by side with the plain way, on the same rows, each in a process of its own.

    python benchmarks/scoring.py [--tokens 20000] [--device cpu] [--batch_sizes 1 2 4 8 16 32]
    python benchmarks/scoring.py --device cuda --precision bfloat16 --tokens 10000000 --batch_sizes 8 16 32 64 128

Prints JSON lines. The plain way takes rows as they come, pads each batch to its longest row, computes full logits,
`log_softmax`, and entropy and varentropy apart. Its best batch size is searched on a tenth of the rows; where it is 1,
which pads nothing, the best of the others is measured too. Ours is `entrotune.score`, with reading, tokenizing and
writing. Both begin when model and rows are in memory, and both tokenize. Rows are those of a JSON lines file (--rows),
or random tokens of 8 to 1,024 a row, log-uniform.

- way: tokens that count a second, peak resident memory beyond that of the loaded model, peak CUDA memory and, on CUDA,
  the share of the card's bfloat16 peak, with 2 operations a parameter and token (padding not counted).
- flat: our peak memory for 1 and 10 times the rows.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from entrotune import provenance

PEAK = 989e12  # NVIDIA H100 SXM, bfloat16 dense, operations a second, from its data sheet
LONGEST = 1024


def write_rows(path: Path, tokens: int, source: str | None) -> None:
    """Rows of about so many tokens in all: the texts of a file, again and again, or random tokens."""
    texts = [json.loads(line)["text"] for line in Path(source).read_text("utf-8").splitlines()] if source else []
    drawn, left, number = random.Random(0), tokens, 0
    drawn.shuffle(texts)
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            if texts:
                row: dict[str, Any] = {"text": texts[number % len(texts)]}
                length = max(1, len(row["text"]) // 4)  # about as many tokens as English has
            else:
                length = int(8 * (LONGEST / 8) ** drawn.random())
                row = {"input_ids": [drawn.randrange(100, 49_000) for _ in range(length)]}
            file.write(json.dumps({"id": str(number), **row}) + "\n")
            left, number = left - length, number + 1


def make_model(folder: Path) -> None:
    """A model of SmolLM2-135M's shape with random weights, and a tokenizer of its vocabulary's size."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        max_position_embeddings=8192,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {f"w{index}": index for index in range(49_152)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="w1", pad_token="w1").save_pretrained(folder)


def plain(model: Any, tokenizer: Any, rows: list[dict[str, Any]], batch_size: int) -> int:
    """Score rows the plain way; returns the tokens that count."""
    device, counted = model.device, 0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        ids = [row.get("input_ids") or tokenizer(row["text"])["input_ids"] for row in batch]
        ids = [one[:LONGEST] for one in ids]
        longest = max(map(len, ids))
        padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids]).to(device)
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids]).to(device)
        with torch.no_grad():
            logits = model(input_ids=padded, attention_mask=mask).logits.float()
            log_p = torch.log_softmax(logits, -1)
            entropy = -(log_p.exp() * log_p).sum(-1)
            varentropy = (log_p.exp() * (log_p + entropy[..., None]) ** 2).sum(-1)
            nll = -log_p[:, :-1].gather(-1, padded[:, 1:, None]).squeeze(-1)
        for values in (entropy, varentropy, nll):
            values.double().mul_(mask[:, : values.shape[1]]).sum(-1).cpu()
        counted += sum(map(len, ids))
    return counted


def ours(model: Any, tokenizer: Any, data: Path, batch_tokens: int | None) -> int:
    """Score the rows of a file into a folder that is thrown away, as `entrotune.score` does once it has the model."""
    from entrotune.data import stream_rows
    from entrotune.scoring.local import score_here
    from entrotune.scoring.options import ScoreOptions
    from entrotune.scoring.scorer import Scorer
    from entrotune.scoring.writer import ScoreWriter

    options = ScoreOptions(
        mode="all",
        max_length=LONGEST,
        bos="none",
        system=None,
        precision=str(model.dtype),
        per_token=False,
        top_k=0,
        keep=(),
        part_rows=1024,
    )
    with tempfile.TemporaryDirectory() as folder:
        writer = ScoreWriter(Path(folder) / "out", {})
        with writer.open():
            blocks = ((block.number, block) for block in stream_rows(data).blocks(options.part_rows))
            scorer = Scorer(model, tokenizer, options, batch_tokens=batch_tokens)
            score_here(scorer, blocks, lambda _, scored: writer.write(scored) if scored else None)
            return int(writer.totals()["tokens"])


def run_way(options: argparse.Namespace) -> dict[str, Any]:
    """One way, in this process."""
    from entrotune.models import count_parameters, load_model

    model, tokenizer = load_model(options.model, dtype=options.precision, device=options.device)
    parameters = count_parameters(model)[0]
    cuda = options.device.startswith("cuda")
    data = Path(options.data)
    ours(model, tokenizer, _first_row(data), options.batch_tokens)  # loads libraries and thread pools
    before, cuda_before = _status("VmRSS"), torch.cuda.memory_allocated() if cuda else 0
    _clear_peaks(cuda)
    began = time.perf_counter()
    if options.way == "ours":
        counted = ours(model, tokenizer, data, options.batch_tokens)
    else:
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
        part = rows[: max(1, len(rows) // 10)] if options.tenth else rows
        counted = plain(model, tokenizer, part, options.batch_size)
    seconds = time.perf_counter() - began
    found = {
        "way": options.way,
        "tokens": counted,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(counted / seconds, 1),
        "peak_rss_mib": round(_status("VmHWM") / 2**20, 1),
        "peak_rss_beyond_start_mib": round((_status("VmHWM") - before) / 2**20, 1),
    }
    if cuda:
        found["peak_cuda_mib"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
        found["peak_cuda_beyond_start_mib"] = round((torch.cuda.max_memory_allocated() - cuda_before) / 2**20, 1)
        found["share_of_peak"] = round(2 * parameters * counted / seconds / PEAK, 4)
    return found


def _first_row(data: Path) -> Path:
    first = data.with_name(f"first-of-{data.name}")
    with data.open(encoding="utf-8") as file:
        first.write_text(file.readline(), encoding="utf-8")
    return first


def _clear_peaks(cuda: bool) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark again
    if cuda:
        torch.cuda.reset_peak_memory_stats()


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def apart(options: argparse.Namespace, way: str, data: Path, **more: Any) -> dict[str, Any] | None:
    """`run_way` in a process of its own; None where it dies, as it does without enough memory."""
    line = [sys.executable, __file__, "--way", way, "--data", str(data), "--model", options.model]
    given = {"device": options.device, "precision": options.precision, "batch_tokens": options.batch_tokens, **more}
    line += [f"--{name}={value}" for name, value in given.items() if value is not None and value is not True]
    line += [f"--{name}" for name, value in given.items() if value is True]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        show(part="failed", way=way, **more, error=(done.stderr.strip().splitlines() or ["killed"])[-1][:200])
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def show(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Both ways, then ours on ten times the rows."""
    rows, more = folder / "rows.jsonl", folder / "more.jsonl"
    write_rows(rows, options.tokens, options.rows)
    tried = {size: apart(options, "plain", rows, batch_size=size, tenth=True) for size in options.batch_sizes}
    speeds = {size: found["tokens_per_second"] for size, found in tried.items() if found}
    best = sorted(speeds, key=lambda size: -speeds[size])
    show(part="search", tokens_per_second=speeds)
    mine = apart(options, "ours", rows)
    if mine:
        show(part="way", **mine)
    for size in best[: 2 if best[0] == 1 else 1]:
        plainly = apart(options, "plain", rows, batch_size=size)
        if plainly:
            show(part="way", batch_size=size, **plainly)
        if plainly and mine:
            show(
                part="ratio",
                batch_size=size,
                speed=round(mine["tokens_per_second"] / plainly["tokens_per_second"], 2),
                memory=round(mine["peak_rss_beyond_start_mib"] / max(plainly["peak_rss_beyond_start_mib"], 0.1), 3),
            )
    if mine and not options.once:
        write_rows(more, 10 * options.tokens, options.rows)
        tenfold = apart(options, "ours", more)
        if tenfold:
            show(part="flat", peak_rss_mib=[mine["peak_rss_mib"], tenfold["peak_rss_mib"]], tokens=tenfold["tokens"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--model", default="random", help="a model's name; random: SmolLM2-135M's shape")
    parser.add_argument("--rows", help="JSON lines with a text each; needs a model with a real tokenizer")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--batch_tokens", type=int, help="of our batches")
    parser.add_argument("--once", action="store_true", help="leave out ten times the rows")
    for name in ("--way", "--data"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--batch_size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--tenth", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run_way(options)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.model == "random":
            options.model = str(folder / "model")
            make_model(folder / "model")
        show(
            part="setting",
            device=provenance.device_name(torch.device(options.device)),
            precision=options.precision,
            tokens=options.tokens,
            versions=provenance.versions(),
            date=provenance.now(),
        )
        compare(options, folder)


if __name__ == "__main__":
    main()
