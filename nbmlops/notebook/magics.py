"""A verb as a line magic: an object that IPython calls, and that imports its verb when it is first used."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import MAGIC_NO_VAR_EXPAND_ATTR, MAGIC_OUTPUT_CAN_BE_SILENCED

from nbmlops.notebook.errors import from_the_verb_on, shown_in_one_line
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
        return self.run(line, local_ns)

    def run(self, line: str, local_ns: dict[str, Any] | None, cell: str = "") -> Any:
        """Run the verb on a line's words and, of a cell magic, on the text below."""
        from nbmlops.core.progress import stages
        from nbmlops.notebook.namespace import Variables
        from nbmlops.notebook.stage_line import stage_line
        from nbmlops.workflows.commands import run, words

        names = Variables(ChainMap(local_ns or {}, self.shell.user_ns))
        try:
            with shown_in_one_line(), stage_line(self.shell) as listener, stages(listener):
                return run(self.verb, words(line), names, called=self.verb.called, cell=cell)
        except Exception as error:
            error.__traceback__ = from_the_verb_on(error.__traceback__)
            raise

    def getdoc(self) -> str:
        """Return the command's help, which ``%NAME?`` shows."""
        from nbmlops.notebook.namespace import Variables
        from nbmlops.workflows.commands import help_text

        return help_text(self.verb, Variables({}), called=self.verb.called)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The summary, for ``%quickref``, which asks every magic at once and must import none of the verbs."""
        return self.verb.summary


class CellMagic(VerbMagic):
    """``%%NAME WORD words…`` over a cell: runs the verb on its text, and binds the result to the variable WORD."""

    def __init__(self, verb: Verb, shell: InteractiveShell) -> None:
        super().__init__(verb, shell)
        setattr(self, MAGIC_NO_VAR_EXPAND_ATTR, True)  # braces in a line that goes with code are the code's

    def __call__(  # type: ignore[override] # IPython gives a cell magic one argument more
        self, line: str = "", cell: str = "", local_ns: dict[str, Any] | None = None
    ) -> Any:
        # The line of the magic is the cell's first: so a traceback's numbers are those that the user sees.
        made = self.run(line, local_ns, f"\n{cell}")
        if made is not None:  # else the help was printed
            self.shell.user_ns[made.name] = made
        return made
