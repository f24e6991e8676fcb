"""Readers and writers of recorded frames."""

from sdfpose_core.datasets.folder import FolderFrame, frame_folders, read_frame, write_frame

__all__ = ["FolderFrame", "frame_folders", "read_frame", "write_frame"]
