"""Checks of the environment: Python, packages, processor, memory, disk, GPU and weights."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import psutil
import torch

from sdfpose_core.diagnosis.findings import Finding, Level
from sdfpose_core.errors import PackError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.weights import COLOUR_FILE, MASKS_FILE, RECOGNITION_FILE

__all__ = [
    "check_cpu",
    "check_disk",
    "check_gpu",
    "check_memory",
    "check_packages",
    "check_python",
    "check_weights",
    "cpu_finding",
    "disk_finding",
    "environment_findings",
]

_PACKAGES = ("numpy", "cv2", "torch", "open3d", "rosbags")
"""Modules that fail where a system library or a matching version is missing."""

_PYTHON_CLASSIFIER = "Programming Language :: Python :: 3."

_GIB = 2**30

_LITTLE_MEMORY = 2 * _GIB
"""Memory of a node with torch and the weights, with room for images, bytes."""

_LITTLE_DISK, _FULL_DISK = 2 * _GIB, _GIB // 10
"""Free space below which a recording ends soon, and below which nothing can be written, bytes."""

_BUSY = 1.5
"""Running processes per core from which on a machine is busy."""

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Processor time of a container: microseconds of each period, or ``max``, and the period."""

_NVIDIA = Path("/proc/driver/nvidia/version")
"""There if the driver of an NVIDIA GPU is loaded."""


def environment_findings(weights: Iterable[Path] = ()) -> list[Finding]:
    """Check the environment of this process.

    Args:
        weights: packs beside the shipped ones.
    """
    return [
        check_python(),
        check_packages(),
        check_cpu(),
        check_memory(),
        check_disk(Path.cwd()),
        check_gpu(),
        check_weights(weights),
    ]


def check_python() -> Finding:
    """Check that this version of Python is one of those that the package is made for."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f"{sys.version.split()[0]} ({sys.executable})"
    known = [
        x.rpartition(" ")[2]
        for x in metadata.metadata("sdfpose").get_all("Classifier") or []
        if x.startswith(_PYTHON_CLASSIFIER)
    ]
    if known and own not in known:
        return Finding(
            "warning",
            "Python",
            f"{text}: sdfpose is not tested with this version",
            f"use Python {', '.join(known)}",
        )
    return Finding("ok", "Python", text)


def check_packages() -> Finding:
    """Check that the packages with native code can be loaded."""
    versions = []
    for name in _PACKAGES:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # a broken installation may raise anything
            return Finding(
                "fault",
                "packages",
                f"{name} cannot be loaded: {' '.join(str(error).split())}",
                "install it again (make setup, or pip install sdfpose); Open3D needs the system "
                "libraries libgl1, libgomp1 and libx11-6",
            )
        version = getattr(module, "__version__", "")
        versions.append(f"{name} {version}".strip())
    return Finding("ok", "packages", ", ".join(versions))


def check_cpu() -> Finding:
    """Check the number of cores that this process may use, and the load of the machine."""
    cores = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    usable = min(float(bound), _quota(_QUOTA))
    return cpu_finding(cores, usable, os.getloadavg()[0], os.environ.get("OMP_NUM_THREADS", ""))


def cpu_finding(cores: int, usable: float, load: float, threads: str) -> Finding:
    """Judge the processor.

    Args:
        cores: number of cores of the machine.
        usable: number of cores that this process may use.
        load: mean number of running processes in the last minute.
        threads: value of the variable OMP_NUM_THREADS.
    """
    text = f"{usable:g} of {cores} cores, load {load:.1f}"
    if threads:
        text += f", OMP_NUM_THREADS={threads}"
    if load > _BUSY * cores:
        return Finding(
            "warning",
            "threads",
            f"the machine is busy: {text}",
            "end other programs: threads that wait for a core delay all others",
        )
    if usable < cores:
        return Finding(
            "warning",
            "threads",
            f"this process may not use all cores: {text}",
            f"set threads (parameter of the node, --threads) to {max(int(usable) - 1, 1)}, or "
            "allow the container more",
        )
    if usable < 2:
        return Finding(
            "warning", "threads", text, "expect low rates: nodes and camera share one core"
        )
    return Finding("ok", "threads", text)


def check_memory() -> Finding:
    """Check the free memory."""
    free = psutil.virtual_memory().available
    text = f"{free / _GIB:.1f} GiB free"
    if free < _LITTLE_MEMORY:
        return Finding("warning", "memory", text, "end other programs, or use smaller images")
    return Finding("ok", "memory", text)


def check_disk(folder: Path) -> Finding:
    """Check the free space where results and recordings are written."""
    return disk_finding(folder, shutil.disk_usage(folder).free)


def disk_finding(folder: Path, free: int) -> Finding:
    """Judge the free space of a disk.

    Args:
        folder: folder on the disk.
        free: free space, bytes.
    """
    text = f"{free / _GIB:.1f} GiB free in {folder}"
    if free < _LITTLE_DISK:
        return Finding(
            "fault" if free < _FULL_DISK else "warning",
            "disk",
            text,
            "delete files, or write results and recordings to another disk",
        )
    return Finding("ok", "disk", text)


def check_gpu() -> Finding:
    """Check whether torch can use a GPU that is there."""
    if not torch.cuda.is_available():
        if _NVIDIA.exists():
            return Finding(
                "warning",
                "GPU",
                f"torch {torch.__version__} does not use the NVIDIA GPU of this machine",
                "install a CUDA build of torch that fits the driver (pytorch.org), and let a "
                "container use the GPU",
            )
        return Finding("ok", "GPU", f"none: the CPU is used (torch {torch.__version__})")
    name = torch.cuda.get_device_name(0)
    try:
        ones = torch.ones(8, 8, device="cuda")
        works = bool((ones @ ones).eq(8.0).all())
    except RuntimeError as error:
        return Finding(
            "fault",
            "GPU",
            f"{name} cannot be used: {str(error).splitlines()[0]}",
            "free its memory, install a build of torch that supports it, or set device to cpu",
        )
    if not works:
        return Finding("fault", "GPU", f"{name} computes wrong results", "set device to cpu")
    return Finding("ok", "GPU", f"{name} (torch {torch.__version__})")


def check_weights(weights: Iterable[Path] = ()) -> Finding:
    """Check that every pack has readable weights.

    Args:
        weights: packs beside the shipped ones.
    """
    remedy = "install the package again, or correct the packs (weights_dirs, --weights)"
    try:
        packs = Packs.beside_shipped(weights)
    except PackError as error:
        return Finding("fault", "weights", str(error), remedy)
    problems: dict[str, str] = {}
    for name, pack in packs.items():
        for kind in pack.kinds:
            try:
                pack.verified(kind)
            except PackError as error:
                problems.setdefault(name, str(error))
    if problems:
        level: Level = "warning" if len(problems) < len(packs) else "fault"
        text = f"not usable: {', '.join(problems)}: {next(iter(problems.values()))}"
        return Finding(level, "weights", text, remedy)
    colour, masks, recognition = (
        "with" if packs.shared(x).exists() else "without"
        for x in (COLOUR_FILE, MASKS_FILE, RECOGNITION_FILE)
    )
    return Finding(
        "ok",
        "weights",
        f"{', '.join(packs)}; {colour} a colour network, {masks} a mask network, "
        f"{recognition} a recognition network",
    )


def _quota(path: Path) -> float:
    """Return the number of cores that a container may use; infinite without a limit."""
    try:
        allowed, period = path.read_text(encoding="utf-8").split()[:2]
        return float("inf") if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):
        return float("inf")
