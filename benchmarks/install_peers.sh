#!/bin/sh
# Install what fetch_peers.sh downloaded, reaching nothing, into a folder of its own, and print what to put on PYTHONPATH.
#
#   export PYTHONPATH=$(sh benchmarks/install_peers.sh [FOLDER] [TARGET])     (default: .whl /tmp/site)
#
# The halves of cutlass are kept beside TARGET as they come, by one call or by two, and unpacked once both are there.
set -eu
folder=${1:-.whl}
target=${2:-/tmp/site}
python=${PYTHON:-python3}
"$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$target" \
    "$folder"/wheels/*.whl >&2
for half in 1 2; do
    if [ -e "$folder/cutlass-$half/part" ]; then
        cp "$folder/cutlass-$half/part" "$target.cutlass-$half"
    fi
done
if [ -e "$target.cutlass-1" ] && [ -e "$target.cutlass-2" ]; then
    cat "$target.cutlass-1" "$target.cutlass-2" | "$python" -c '
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|xz") as packed:
    packed.extractall(sys.argv[1], filter="data")' "$target"
fi
root=$(cd "$(dirname "$0")/.." && pwd)
# The .pth file that would add dsl_packages is read in site-packages only.
echo "$root/src:$target:$target/nvidia_cutlass_dsl/dsl_packages"
