"""What a command imports before it knows what it is to do."""

import json
import subprocess
import sys

from entrotune.cli.words import PARTS, SUMMARIES

COMMANDS = [name for name in SUMMARIES if name not in PARTS]
COMMANDS += [f"{name} {part}" for name, parts in PARTS.items() for part in parts]
# For each, what is in memory after its help, and after an option that it does not have.
LOOK = """
import contextlib, io, json, sys
from entrotune.cli.main import main
HEAVY = ("torch", "transformers", "trl", "datasets", "pyarrow", "gradio")
found = {}
for name in json.loads(sys.argv[1]):
    for option in ("--help", "--no-such-option"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                code = main([*name.split(), option])
            except SystemExit as end:
                code = end.code
        found[f"{name} {option}"] = [code or 0, [module for module in HEAVY if module in sys.modules]]
print(json.dumps(found))
"""


def test_neither_help_nor_a_wrong_option_waits_for_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(COMMANDS)], capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(done.stdout)
    assert found == {
        f"{name} {option}": [code, []] for name in COMMANDS for option, code in (("--help", 0), ("--no-such-option", 2))
    }
