from __future__ import annotations

import linecache
import traceback

import msgspec
import pytest

from nbmlops.serving.failures import Failure, Frame, failure_of, text_of, trimmed


def raised(function, *arguments) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


def divide(by: int) -> float:
    return 1 / by


def wrapped(by: int) -> float:
    try:
        return divide(by)
    except ZeroDivisionError as error:
        raise ValueError("no such share") from error


def stumbles(by: int) -> float:
    try:
        return divide(by)
    except ZeroDivisionError:
        return {}["missing"]


def endless() -> None:
    endless()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def without_marks(text: str) -> str:
    """Leave out the carets under a part of a line, which plain data does not keep."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip(" ^~\n") or not line.strip())


@pytest.mark.parametrize("function", [divide, wrapped, stumbles])
def test_it_reads_as_python_prints_it(function):
    error = raised(function, 0)
    printed = "".join(traceback.format_exception(error))
    said = text_of(failure_of(error)).replace(f"in {raised.__qualname__}", "in raised")
    assert said == without_marks(printed)


def test_a_cause_that_is_hidden_stays_so():
    def hides() -> None:
        try:
            divide(0)
        except ZeroDivisionError:
            raise ValueError("alone") from None

    assert [one.kind for one in failure_of(raised(hides)).chain] == ["ValueError"]


def test_it_survives_the_way_to_another_process():
    failure = failure_of(raised(wrapped, 0))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
    assert again == failure
    assert (again.kind, again.where.function, again.where.source) == (
        "ValueError",
        "wrapped",
        'raise ValueError("no such share") from error',
    )


def test_endless_recursion_is_cut_in_its_middle():
    failure = failure_of(raised(endless))
    assert failure.kind == "RecursionError"
    assert len(failure.chain[-1].frames) == 60
    assert failure.chain[-1].frames[0].function == "raised"


def test_an_exception_that_can_not_say_what_it_is():
    failure = failure_of(raised(lambda: (_ for _ in ()).throw(Unspeakable())))
    assert failure.kind.endswith("Unspeakable")
    assert failure.chain[-1].message


def test_notes_are_part_of_what_it_says():
    error = ValueError("wrong")
    error.add_note("look at column hour")
    assert failure_of(error).chain[-1].message == "wrong\nlook at column hour"


def test_a_chain_that_bites_its_tail_ends():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert len(failure_of(one).chain) == 2


def test_a_line_of_a_cell_is_found_where_the_cell_is_known():
    source = "def predict(rows):\n    return rows['nothing']\n"
    linecache.cache["<cell 3>"] = (len(source), None, source.splitlines(keepends=True), "<cell 3>")
    names: dict = {}
    exec(compile(source, "<cell 3>", "exec"), names)
    where = failure_of(raised(names["predict"], {})).where
    assert where == Frame("<cell 3>", 2, "predict", "return rows['nothing']")
    del linecache.cache["<cell 3>"]


def test_the_servers_own_frames_are_left_out_for_a_person():
    server = Frame("/venv/lib/site-packages/nbmlops/serving/batching.py", 80, "guarded")
    mlflow = Frame("/venv/lib/python3.11/site-packages/mlflow/pyfunc/__init__.py", 1, "predict")
    wrapper = Frame("/home/ann/nbmlops/registry/formats.py", 200, "Answering.predict")
    own = Frame("/home/ann/model.py", 3, "predict", "return 1 / 0")
    library = Frame("/venv/lib/python3.11/site-packages/mlflow/models.py", 5, "deep")
    assert trimmed([server, mlflow, wrapper, own, library]) == [own, library]
    assert trimmed([server, mlflow]) == [server, mlflow]


def test_what_it_says_can_be_left_out():
    failure = failure_of(raised(wrapped, 0))
    quiet = text_of(failure, messages=False)
    assert "no such share" not in quiet.replace('raise ValueError("no such share") from error', "")
    assert "division by zero" not in quiet + text_of(failure.quiet())
    assert "divide" in quiet
