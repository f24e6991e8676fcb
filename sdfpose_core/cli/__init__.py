"""The command `sdfpose`: one file per command, found by `sdfpose_core.cli.main`."""
