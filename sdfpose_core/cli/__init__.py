"""The command `sdfpose`: one module per command, loaded by `sdfpose_core.cli.main`."""
