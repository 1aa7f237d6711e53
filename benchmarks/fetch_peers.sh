#!/bin/sh
# Download what the benchmarks compare with, for a GPU machine that cannot reach a package index.
#
#   sh benchmarks/fetch_peers.sh [FOLDER]     (default: .whl)
#
# FOLDER/wheels: wheels without their requirements; that machine is expected to have PyTorch, Triton, transformers, peft,
# accelerate and their requirements. PYTHON_VERSION is that machine's Python (default 3.12).
# FOLDER/cutlass-1 and -2: halves of the compiled part of nvidia-cutlass-dsl, which Liger's kernel for compute capability
# 9.0 needs, packed again with xz (minutes of work) and split, so that each can travel apart. CUTLASS=no leaves it out.
# Over there: benchmarks/install_peers.sh
set -eu
folder=${1:-.whl}
python=${PYTHON_VERSION:-3.12}
cutlass=4.8.1
mkdir -p "$folder/wheels"

fetch() {
    to=$1
    shift
    "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --python-version "$python" \
        --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_24_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest "$to" "$@"
}

fetch "$folder/wheels" liger-kernel==0.8.5 cut-cross-entropy==25.1.1 trl==1.16.0 datasets==5.2.0 dill==0.4.1 \
    multiprocess==0.70.19
if [ "${CUTLASS:-yes}" != no ]; then
    fetch "$folder/wheels" nvidia-cutlass-dsl==$cutlass nvidia-cutlass-dsl-libs-core==$cutlass \
        nvidia-cutlass-dsl-libs-base==$cutlass apache-tvm-ffi==0.1.15.post2
    if [ ! -e "$folder/cutlass-2/part" ]; then
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        fetch "$scratch" nvidia-cutlass-dsl-libs-cu12==$cutlass
        mkdir "$scratch/files" "$scratch/halves"
        "${PYTHON:-python3}" -m zipfile -e "$scratch"/*.whl "$scratch/files"
        tar -C "$scratch/files" -cf "$scratch/files.tar" .
        xz -T0 --x86 --lzma2=preset=6 "$scratch/files.tar"
        split -n 2 "$scratch/files.tar.xz" "$scratch/halves/"
        mkdir -p "$folder/cutlass-1" "$folder/cutlass-2"
        mv "$scratch/halves/aa" "$folder/cutlass-1/part"
        mv "$scratch/halves/ab" "$folder/cutlass-2/part"
    fi
fi
du -h "$folder"/*/* | sort -h
du -sh "$folder"
