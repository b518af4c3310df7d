"""The command line: ``nbmlops VERB …``, the same verbs on the same workspace, outside any notebook."""

from nbmlops.cli.main import main

__all__ = ["main"]
