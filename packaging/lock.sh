#!/usr/bin/env bash
# Update the pinned versions of all environments from pyproject.toml (make lock): requirements.txt
# for all supported Python versions, requirements-kilted.txt with the wheels of ROS 2 Kilted,
# requirements-oldest.txt with the oldest versions that pyproject.toml allows,
# requirements-interfaces.txt for the messages alone, requirements-docs.txt for the tools that build
# the documentation.
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
        --no-python-downloads --extra training --extra export --extra test \
        --extra viewer "$@" pyproject.toml |
        { echo "# $header"; echo "# Made by packaging/lock.sh."; grep -vE '^(cuda|nvidia)-|^triton=='; } \
            >"$scratch/requirements"
    cp "$scratch/requirements" "packaging/$output"
}

resolve requirements.txt "The checkout's environment, with ROS 2 Jazzy (make setup)." \
    --extra ros --universal --python-version 3.10
resolve requirements-kilted.txt "The environment with ROS 2 Kilted (make setup DISTRO=kilted)." \
    --extra ros-kilted --universal --python-version 3.10
# All environments use the same torch: older versions have no build for machines without a GPU.
resolve requirements-oldest.txt "The oldest supported versions (make test-oldest)." \
    --extra ros --resolution lowest-direct --python-version 3.11

# Resolve an extra without the project's dependencies.
resolve_extra() {
    local extra=$1 output=$2 header=$3
    "$scratch/venv/bin/python" - "$extra" >"$scratch/extra.in" <<'PYTHON'
import re, sys
text = open("pyproject.toml").read()
(extra,) = re.findall(rf"^{sys.argv[1]} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
print("\n".join(re.findall(r'"([^"]+)"', extra)))
PYTHON
    "$scratch/venv/bin/uv" pip compile --quiet --upgrade --no-header --annotation-style line \
        --no-emit-index-url --no-emit-find-links --python "$scratch/venv/bin/python" \
        --no-python-downloads --universal --python-version 3.10 --custom-compile-command "make lock" \
        "$scratch/extra.in" | sed "s|$scratch/extra.in|$extra|" |
        { printf '# %s\n# Made by packaging/lock.sh.\n' "$header"; cat; } >"$scratch/requirements"
    cp "$scratch/requirements" "packaging/$output"
}

resolve_extra ros requirements-interfaces.txt "The messages alone, with ROS 2 Jazzy (packaging/interfaces)."
resolve_extra docs requirements-docs.txt "The tools that build the documentation (make docs)."
