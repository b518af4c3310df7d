"""A verb as a line magic: an object that IPython calls, and that imports its verb when it is first used."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import MAGIC_OUTPUT_CAN_BE_SILENCED

from nbmlops.notebook.errors import shown_in_one_line
from nbmlops.workflows.verbs import Verb


class VerbMagic:
    """``%NAME words…``: runs the verb, and returns its result so that ``x = %NAME …`` and ``_`` work."""

    needs_local_scope = True  # a magic inside a function sees the function's variables

    def __init__(self, verb: Verb, shell: InteractiveShell) -> None:
        self.verb = verb
        self.shell = shell
        self.__name__ = verb.magic
        setattr(self, MAGIC_OUTPUT_CAN_BE_SILENCED, True)

    def __call__(self, line: str = "", local_ns: dict[str, Any] | None = None) -> Any:
        from nbmlops.core.progress import stages
        from nbmlops.notebook.namespace import Variables
        from nbmlops.notebook.stage_line import stage_line
        from nbmlops.workflows.commands import run, words

        names = Variables(ChainMap(local_ns or {}, self.shell.user_ns))
        with shown_in_one_line(), stage_line(self.shell) as listener, stages(listener):
            return run(self.verb, words(line), names, called=f"%{self.verb.magic}")

    def getdoc(self) -> str:
        """Return the command's help, which ``%NAME?`` shows."""
        from nbmlops.notebook.namespace import Variables
        from nbmlops.workflows.commands import help_text

        return help_text(self.verb, Variables({}), called=f"%{self.verb.magic}")

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The summary, for ``%quickref``, which asks every magic at once and must import none of the verbs."""
        return self.verb.summary
