#!/usr/bin/env bash
# Create the environment of the checkout, or do nothing if it is up to date.
#
#   packaging/setup_environment.sh ENVIRONMENT REQUIREMENTS
#
#   ENVIRONMENT   directory of the environment, e.g. .venv
#   REQUIREMENTS  pinned requirements, e.g. packaging/requirements.txt; they choose the ROS 2 wheels
#   PYTHON        (environment variable) interpreter; default: the first usable one of 3.11 (which
#                 has the smallest build of torch), 3.12 and 3.10
#
# A stage runs again when its inputs have changed. An interrupted set-up starts from scratch. The
# output of all tools is in ENVIRONMENT/setup.log; the end of it is shown when a tool fails.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$1
requirements=$2
pip_version=26.3
log=$environment/setup.log
python=$environment/bin/python

python_needed="Python 3.10, 3.11 or 3.12 with venv and its C headers (on Debian and Ubuntu: \
apt-get install python3 python3-venv python3-dev); set PYTHON=... to use another interpreter"

# System libraries that the Open3D wheels need, and their Debian packages.
system_libraries=(
    libusb-1.0.so.0=libusb-1.0-0
    libGL.so.1=libgl1
    libEGL.so.1=libegl1
    libX11.so.6=libx11-6
    libudev.so.1=libudev1
    libidn2.so.0=libidn2-0
    libgomp.so.1=libgomp1
)

say() { printf 'sdfpose set-up: %s\n' "$*" >&2; }

fail() {
    printf '\nsdfpose set-up failed: %s\n' "$*" >&2
    exit 1
}

# Run a command with its output in the log. Show the end of the log if it fails.
logged() {
    printf '\n$ %s\n' "$*" >>"$log"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        fail "'$*' failed (full output in $log)"
    fi
}

digest() { # hash of files and directories, including their names
    find "$@" -type f -not -name '*.pyc' -not -path '*/build/*' -not -path '*.egg-info/*' -print0 |
        sort -z | xargs -0 sha256sum | sha256sum
}

version() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }

up_to_date() { # whether the environment belongs to this checkout and uses the requested Python
    [ -x "$python" ] && [ "$(cat "$environment/checkout" 2>/dev/null)" = "$PWD" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(version "$PYTHON")" = "$(version "$python")" ]; }
}

other_ros() { # whether it holds ROS 2 wheels of a distribution that the requirements do not name
    local wheel name
    for wheel in "$environment"/lib/python*/site-packages/ros_*_rclpy-*.dist-info; do
        name=${wheel##*/ros_}
        name=${name%%_*}
        [ ! -e "$wheel" ] || grep -q "^ros-$name-rclpy==" "$requirements" || return 0
    done
    return 1
}

usable() { # whether it is Python 3.10 to 3.12, can create environments and compile extensions
    "$1" - >/dev/null 2>&1 <<'PYTHON'
import ensurepip, pathlib, sys, sysconfig, venv
assert (3, 10) <= sys.version_info[:2] <= (3, 12)
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file()
PYTHON
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.10 python3; do
        # PATH may hold several, and some may not work (e.g. pyenv shims).
        while read -r candidate; do
            if usable "$candidate"; then
                echo "$candidate"
                return
            fi
        done < <(type -aP "$candidate")
    done
    fail "no usable Python found: $python_needed"
}

check_tools() {
    local tool missing=()
    for tool in gcc g++ cmake make; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] || fail "${missing[*]} not found: needed to compile the ROS 2 messages \
(on Debian and Ubuntu: apt-get install build-essential cmake)"
}

missing_libraries() { # packages of the libraries that cannot be loaded
    "$1" - "${system_libraries[@]}" <<'PYTHON'
import ctypes, sys
for entry in sys.argv[1:]:
    library, package = entry.split("=")
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
PYTHON
}

install_libraries() {
    local missing apt=(apt-get)
    missing=$(missing_libraries "$1" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    local advice="Open3D needs system libraries: ask an administrator to run \
'apt-get install $missing' (or the equivalent of your system), then run this again"
    command -v apt-get >/dev/null || fail "$advice"
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "$advice"
        apt=(sudo -n apt-get)
    fi
    say "installing system libraries: $missing"
    logged "${apt[@]}" update
    # shellcheck disable=SC2086 # a list of packages
    logged env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends $missing
    missing=$(missing_libraries "$1" | tr '\n' ' ')
    [ -z "$missing" ] || fail "$advice"
}

install_requirements() {
    local base
    check_tools
    if [ ! -e "$environment/requirements.stamp" ]; then
        base=$(find_python)
        say "creating $environment with $("$base" --version) ($base)"
        rm -rf "$environment"
        mkdir -p "$environment"
        echo "$PWD" >"$environment/checkout"
        logged "$base" -m venv "$environment"
    fi
    rm -f "$environment"/*.stamp
    install_libraries "$python"
    say "installing the pinned packages (takes minutes the first time)"
    logged "$python" -m pip install --progress-bar off "pip==$pip_version"
    logged "$python" -m pip install --progress-bar off -r "$requirements"
}

install_wheel() { # build and install a directory with the versions already installed
    logged "$python" -m pip install --no-build-isolation --no-deps "$@"
}

install_tf2_msgs() {
    say "building tf2_msgs (15 s)"
    install_wheel ./packaging/tf2_msgs
}

install_project() {
    say "installing sdfpose"
    install_wheel --editable .
}

# After sdfpose: its earlier releases had the messages, and take them away when they are replaced.
install_interfaces() {
    say "building the messages of sdfpose (20 s)"
    install_wheel ./packaging/interfaces
    logged "$python" -c "
import cv2, manifold3d, open3d, torch
import rclpy
from sdfpose.msg import SdfObjectArray
from tf2_msgs.msg import TFMessage
"
}

stage() { # NAME DIGEST COMMAND: run the command unless it has already run for this digest
    local stamp=$environment/$1.stamp
    [ "$(cat "$stamp" 2>/dev/null)" != "$2" ] || return 0
    "$3"
    echo "$2" >"$stamp"
    changed=yes
}

builders=(packaging/rosidl_build.py packaging/wheel_route.cmake)
changed=
[ -z "${PYTHON:-}" ] || usable "$PYTHON" ||
    fail "PYTHON=$PYTHON is not usable: expected $python_needed"
up_to_date || rm -f "$environment"/*.stamp
# pip would leave the files of the other distribution between the new ones: start from scratch.
! other_ros || rm -f "$environment"/*.stamp
stage requirements "$(digest "$requirements" "$0")" install_requirements
stage tf2_msgs "$(digest packaging/tf2_msgs "${builders[@]}")" install_tf2_msgs
stage project "$(digest package.xml pyproject.toml setup.py)" install_project
stage interfaces "$(digest CMakeLists.txt action msg srv package.xml packaging/interfaces "${builders[@]}")" \
    install_interfaces
[ -z "$changed" ] || say "$environment is ready ($SECONDS s)"
