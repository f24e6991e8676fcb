#!/usr/bin/env bash
# Update the pinned versions of all environments from pyproject.toml (make lock): requirements.txt
# for all supported Python versions, requirements-oldest.txt with the oldest versions that
# pyproject.toml allows, requirements-docs.txt for the tools that build the documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet uv

# Drop the packages of CUDA builds of torch: such a build pins them itself.
resolve() {
    local output=$1 header=$2
    shift 2
    "$scratch/venv/bin/uv" pip compile --quiet --upgrade --no-header --annotation-style line \
        --no-emit-index-url --no-emit-find-links --python "$scratch/venv/bin/python" \
        --no-python-downloads --extra ros --extra training --extra export --extra test \
        --extra viewer "$@" pyproject.toml |
        { echo "# $header"; echo "# Made by packaging/lock.sh."; grep -vE '^(cuda|nvidia)-|^triton=='; } \
            >"$scratch/requirements"
    cp "$scratch/requirements" "packaging/$output"
}

resolve requirements.txt "The checkout's environment (make setup)." \
    --universal --python-version 3.10
# Both environments use the same torch: older versions have no build for machines without a GPU.
resolve requirements-oldest.txt "The oldest supported versions (make test-oldest)." \
    --resolution lowest-direct --python-version 3.11

# The documentation needs only its tools: resolve the extra without the project's dependencies.
"$scratch/venv/bin/python" - >"$scratch/docs.in" <<'PYTHON'
import re
(extra,) = re.findall(r"^docs = \[(.*)\]$", open("pyproject.toml").read(), re.MULTILINE)
print("\n".join(re.findall(r'"([^"]+)"', extra)))
PYTHON
"$scratch/venv/bin/uv" pip compile --quiet --upgrade --no-header --annotation-style line \
    --no-emit-index-url --no-emit-find-links --python "$scratch/venv/bin/python" \
    --no-python-downloads --universal --python-version 3.10 --custom-compile-command "make lock" \
    "$scratch/docs.in" | sed "s|$scratch/docs.in|docs|" |
    { echo "# The tools that build the documentation (make docs)."; echo "# Made by packaging/lock.sh."; \
        cat; } >"$scratch/requirements"
cp "$scratch/requirements" packaging/requirements-docs.txt
