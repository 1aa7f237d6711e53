"""What the commands are called, what each does in a line, and examples of each."""

SUMMARIES = {
    "demo": "tune a small model with three objectives and show what each did (minutes on a laptop)",
    "train": "fine-tune a model with any objective",
    "compare": "several objectives from one start: quality against diversity, with a report",
    "sweep": "search coefficients and other settings: fronts of quality and diversity, and what to use",
    "evaluate": "quality and diversity of one model",
    "score": "how uncertain a model is about each row of a data set: entropy, varentropy, likelihood",
    "order": "scores of a data set to the sequence in which training uses its rows",
    "curriculum": "train small models from scratch in several orders, against a random one",
    "diffuse": "teach a model to spread its probability over a set of valid outputs, exactly measured",
    "analyze": "compare models by their scores; ask whether entropy predicts correctness",
    "perplexity": "how well models predict a text: per token, word, byte and character",
    "new-model": "make a small untrained model, an LSTM or a Transformer, with the words of a data set",
    "generate": "responses to prompts by any decoding strategy; structured output; strategies compared",
    "merge": "a model between a start and its tuned copy (WiSE-FT), or an adapter merged into its base",
    "play": "a local page to see and shape a model's distributions, alone or beside another model",
    "report": "rebuild the HTML report of a folder",
    "evidence": "comparisons to a page of Markdown: tables with intervals, and what was found",
    "doctor": "check the installation, and an objective on a toy model",
}

# Commands that are made of others: `entrotune analyze models …`.
PARTS = {
    "analyze": {
        "models": "compare models by the scores they gave to the same rows",
        "correctness": "ask whether entropy and varentropy predict that a row is answered right",
    }
}

EXAMPLES = {
    "demo": """
  entrotune demo
  entrotune demo --out runs/mine --resume""",
    "train": """
  entrotune train --data chats.jsonl --objective "ce - 0.1*entropy" --out runs/chats
  entrotune train --data chitchat:openers --limit 200 --method full --learning_rate 1e-5 --out runs/openers
  entrotune train --config runs/chats/recipe.yaml --seed 1 --out runs/chats-1
  entrotune train --data math.csv --columns '{"prompt": "question", "completion": "answer"}' --dry-run
  entrotune train --config runs/chats/recipe.yaml --resume""",
    "compare": """
  entrotune compare --config recipes/demo.yaml --out runs/three
  entrotune compare --train.data chats.jsonl --objectives '["ce", "gem(beta=0.7)"]' --seeds '[0, 1, 2]' --out runs/two
  entrotune compare --config recipes/demo.yaml --dry-run""",
    "sweep": """
  entrotune sweep --config recipes/sweep-alpha.yaml --dry-run
  entrotune sweep --config recipes/sweep-alpha.yaml
  entrotune sweep --train.data chats.jsonl --objective "gem(beta={beta})" --search '{"beta": [0.5, 0.7]}' --out runs/b
  entrotune sweep --config recipes/sweep-alpha.yaml --out runs/longer --seeds '[0, 1, 2]' --jobs 2 --resume""",
    "evaluate": """
  entrotune evaluate --data held-out.jsonl --model runs/chats --temperatures '[0.7, 1.0]' --out runs/chats/evaluation
  entrotune evaluate --data questions.jsonl --model smollm2-135m --samples 16 --dry-run""",
    "score": """
  entrotune score texts.jsonl --model smollm2-135m --out runs/scores
  entrotune score chats.jsonl --model runs/chats --mode response --keep label,source_id --out runs/scores-chats
  entrotune score folder-of-parquet --max_length 2048 --per_token --top_k 100 --out runs/scores-tokens
  entrotune score texts.jsonl --engine ray --workers 8 --gpus_per_worker 0.5 --address auto --out runs/scores
  entrotune score texts.jsonl --out runs/scores --html texts.html --html_rows 20
  entrotune score book.txt --text_unit paragraph --mode predicted --dry-run""",
    "order": """
  entrotune order runs/scores --schedule increasing --pacing root --out order.parquet
  entrotune order runs/scores --by nll_mean --residual tokens --drop_top 5 --bins sorted --out order.parquet
  entrotune order runs/scores --schedule hill --out hill.parquet --bin runs/tokens --data texts.jsonl""",
    "curriculum": """
  entrotune curriculum --config recipes/curriculum.yaml --dry-run
  entrotune curriculum --config recipes/curriculum.yaml --seeds '[0, 1, 2, 3, 4]' --out runs/curriculum""",
    "diffuse": """
  entrotune diffuse --targets "range(1,10)" --out runs/numbers
  entrotune diffuse --targets names.txt --request "Name somebody." --hold_out_targets 0.5 --out runs/names
  entrotune diffuse --targets sets/days.yaml mimesis:fruits mimesis:occupations --samples 200 --out runs/lists
  entrotune diffuse --targets sets --leave_one_out --out runs/left-out
  entrotune diffuse --targets open-ended.json --fix eos --dry-run""",
    "analyze": """
  entrotune analyze models runs/scores-a runs/scores-b --out runs/models
  entrotune analyze correctness runs/scores --label correct --out runs/correctness""",
    "analyze models": """
  entrotune analyze models runs/scores-a runs/scores-b runs/scores-c --data texts.jsonl --out runs/models
  entrotune analyze models runs/scores-a runs/scores-b --metrics '["entropy_mean", "nll_mean"]' --out runs/models""",
    "analyze correctness": """
  entrotune analyze correctness runs/scores --label correct --source origin --out runs/correctness
  entrotune analyze correctness runs/scores --label answers.jsonl:correct --out runs/correctness
  entrotune analyze correctness runs/scores --choices hellaswag.jsonl --out runs/correctness --dry-run""",
    "perplexity": """
  entrotune perplexity book.txt --model smollm2-135m --stride 512
  entrotune perplexity book.txt --model runs/chats --model smollm2-135m --bos eos --json
  entrotune perplexity texts.jsonl --rank low --at_most 200 --anomalies 3.5 --out runs/perplexity
  entrotune perplexity pairs.jsonl --context_column prompt --model smollm2-135m
  entrotune perplexity posts.csv --drift date --period month --dry-run""",
    "new-model": """
  entrotune new-model --out models/lstm
  entrotune new-model --data headlines.csv --column title --vocabulary 5000 --out models/headlines
  entrotune new-model --kind transformer --data input.txt --out models/transformer""",
    "generate": """
  entrotune generate --prompt "Name a fruit." -n 5 --strategy "temperature(0.8) + top_p(0.9)"
  entrotune generate --prompt "Name a fruit." -n 5 --html fruits.html
  entrotune generate --prompt "When did the war end?" --pattern '[12][0-9]{3}' -n 5
  entrotune generate --prompts questions.jsonl -n 8 --rerank majority --out runs/answers.jsonl
  entrotune generate --fields recipes/fields/people.yaml -n 1000 --strategy "target_entropy(2)" --out people.jsonl
  entrotune generate --prompt "Tell a joke." -n 20 --prompting verbalised --rerank diverse --keep 5 --json
  entrotune generate --prompts questions.jsonl --endpoint http://127.0.0.1:8000/v1 --model my-model --out answers.jsonl
  entrotune generate --bench -n 8 --max_new_tokens 48 --out runs/strategies
  entrotune generate --prompts questions.jsonl -n 16 --dry-run""",
    "merge": """
  entrotune merge runs/chats --out models/chats
  entrotune merge runs/chats --interpolate 0.5 --out models/half
  entrotune merge runs/chats --interpolate '[0.25, 0.5, 0.75]' --out models/between
  entrotune merge models/tuned --start models/base --interpolate 0.5 --out models/half""",
    "play": """
  entrotune play
  entrotune play --model smollm2-135m --compare runs/chats
  entrotune play --model runs/chats --device cuda:0 --dtype bfloat16 --max_tokens 4096 --port 8000""",
    "report": """
  entrotune report runs/demo
  entrotune report runs/chats --out chats.html""",
    "evidence": """
  entrotune evidence runs/demo --out demo.md
  entrotune evidence runs/evidence-overfitting --keep docs/evidence --out docs/evidence.md
  entrotune evidence docs/evidence --out docs/evidence.md""",
    "doctor": """
  entrotune doctor
  entrotune doctor --objective "gem(beta=0.7)" """,
}
