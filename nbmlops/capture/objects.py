"""Which modules an object needs: those of its class and of everything that it holds or calls.

The walk reads attributes only; it runs none of the object's own code. A function or class that lives in the notebook
travels with the model by value, so its globals, closures, defaults and imports are followed as well; one that lives in
a module brings that module.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections import Counter, deque
from collections.abc import Iterator
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

# Bounds that keep the walk under some milliseconds for a forest of 10,000 trees: objects of one class are alike.
MOST_OBJECTS = 20_000
MOST_ITEMS = 1_000
MOST_OF_A_CLASS = 100

_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), type(Ellipsis), range, slice)
_DATA = frozenset({"numpy", "pandas", "polars", "pyarrow"})


def uses(*objects: Any) -> frozenset[str]:
    """Return the dotted names of the modules that the objects' classes and functions live in or refer to."""
    walk = _Walk()
    walk.add(*objects)
    walk.run()
    return frozenset(walk.modules)


def travelling(*objects: Any) -> tuple[CodeType, ...]:
    """Return the code of the functions that are stored with the objects by value, since no module holds them."""
    walk = _Walk()
    walk.add(*objects)
    walk.run()
    return tuple(walk.codes)


class _Walk:
    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.codes: list[CodeType] = []
        self._pending: deque[Any] = deque()
        self._seen: dict[int, Any] = {}  # the objects themselves are kept, so that no identity is used twice
        self._of_a_class: Counter[type] = Counter()

    def add(self, *found: Any) -> None:
        self._pending.extend(item for item in found if not isinstance(item, _PLAIN))

    def run(self) -> None:
        while self._pending and len(self._seen) < MOST_OBJECTS:
            item = self._pending.popleft()
            if id(item) not in self._seen:
                self._seen[id(item)] = item
                self._visit(item)

    def _visit(self, item: Any) -> None:
        if isinstance(item, ModuleType):
            self.modules.add(item.__name__)
        elif isinstance(item, type):
            self._class(item)
        elif isinstance(item, FunctionType):
            self._function(item)
        elif isinstance(item, (MethodType, BuiltinFunctionType)):
            self.add(item.__self__, getattr(item, "__func__", None))
        elif isinstance(item, functools.partial):
            self.add(item.func, item.args, item.keywords)
        elif isinstance(item, CellType):
            self.add(*_cell(item))
        elif isinstance(item, dict):
            self.add(*list(item.values())[:MOST_ITEMS], *list(item)[:MOST_ITEMS])
        elif isinstance(item, (list, tuple, set, frozenset, deque)):
            self.add(*list(item)[:MOST_ITEMS])
        if not isinstance(item, (ModuleType, type, FunctionType)):
            self._instance(item)

    def _instance(self, item: Any) -> None:
        kind = type(item)
        self.add(kind)
        self._of_a_class[kind] += 1
        if kind.__module__.partition(".")[0] in _DATA:
            if str(getattr(item, "dtype", "")) == "object" and hasattr(item, "ravel"):
                self.add(item.ravel()[:MOST_ITEMS].tolist())
        elif self._of_a_class[kind] <= MOST_OF_A_CLASS:
            self.add(*_state(item))

    def _class(self, kind: type) -> None:
        self.modules.add(kind.__module__)
        if _travels(kind.__module__):
            self.add(*kind.__mro__[1:])
            for member in vars(kind).values():
                inner = getattr(member, "__func__", getattr(member, "fget", member))
                self.add(inner)

    def _function(self, function: FunctionType) -> None:
        self.modules.add(function.__module__ or "__main__")
        if _travels(function.__module__):
            self.codes.append(function.__code__)
            self.add(function.__defaults__, function.__kwdefaults__, *(function.__closure__ or ()))
            self.add(getattr(function, "__wrapped__", None))
            for code in _codes(function.__code__):
                self.modules.update(_imports(code))
                self.add(*(function.__globals__[name] for name in code.co_names if name in function.__globals__))


def _travels(module: str | None) -> bool:
    """Say whether what lives in `module` is stored by value: it can't be imported elsewhere."""
    return module is None or module == "__main__" or module not in sys.modules


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imports(code: CodeType) -> set[str]:
    return {str(step.argval) for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"}


def _cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # a closure over a name that is not bound yet
        return ()


def _state(item: Any) -> list[Any]:
    """Return the values of an instance's attributes, without running its own code."""
    state = list(getattr(item, "__dict__", {}).values())
    for kind in type(item).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            member = vars(kind).get(slot)
            if type(member).__name__ == "member_descriptor":
                state.extend(_slot(member, item))
    return state


def _slot(member: Any, item: Any) -> tuple[Any, ...]:
    try:
        return (member.__get__(item),)
    except AttributeError:  # a slot that was never filled
        return ()
