"""Readers and writers of recorded frames."""

from sdfpose_core.datasets.folder import FolderFrame, frame_folders, read_frame, read_frames
from sdfpose_core.datasets.folder_writing import write_frame, write_masks

__all__ = [
    "FolderFrame",
    "frame_folders",
    "read_frame",
    "read_frames",
    "write_frame",
    "write_masks",
]
