from __future__ import annotations

from nbmlops.capture.lineage import Lineage, Run, disorders, trace


def runs(*sources: str) -> list[Run]:
    return [Run(count, source) for count, source in enumerate(sources, 1)]


def counts(found: tuple[Run, ...]) -> list[int]:
    return [run.execution_count for run in found]


def order(*sources: str):
    return lambda run: sources.index(run.source) if run.source in sources else None


def contradictions(lineage: Lineage, ran: list[Run], *saved: str) -> list[tuple[int, int, str]]:
    found = disorders(lineage, ran, order(*saved))
    return [(one.step.reader.execution_count, one.step.writer.execution_count, one.step.name) for one in found]


def test_only_what_the_object_came_from_is_followed() -> None:
    ran = runs("a = 1", "plot = a", "b = a + 1", "c = 3", "model = fit(b)", "print(model)")
    found = trace(ran, ["model"])
    assert counts(found.producers) == [5]
    assert counts(found.runs) == [1, 3, 5]


def test_a_cell_that_fits_the_object_produced_it_and_the_one_that_made_it_comes_before() -> None:
    ran = runs("model = A()", "X = 1", "model.fit(X)", "model.predict(X)")
    found = trace(ran, ["model"])
    assert counts(found.producers) == [3]
    assert counts(found.runs) == [1, 2, 3]


def test_a_name_that_nobody_wrote_comes_from_nowhere() -> None:
    assert trace(runs("a = 1"), ["model"]) == Lineage((), (), ())


def test_of_a_cell_that_failed_only_what_was_seen_counts() -> None:
    ran = [Run(1, "a = 1"), Run(2, "a = 2\nb = 1/0", succeeded=False), Run(3, "model = a")]
    assert counts(trace(ran, ["model"]).runs) == [1, 3]


def test_a_name_bound_by_other_means_than_the_text_counts() -> None:
    ran = [Run(1, "%run prepare.py", bound=frozenset({"X"})), Run(2, "model = f(X)")]
    assert counts(trace(ran, ["model"]).runs) == [1, 2]


def test_in_order_there_is_nothing_to_say() -> None:
    sources = ("import x", "df = x.read()", "df['a'] = 1", "model = M()", "model.fit(df)")
    ran = runs(*sources)
    assert contradictions(trace(ran, ["model"]), ran, *sources) == []


def test_a_writer_that_stands_below_its_reader_is_out_of_order() -> None:
    ran = runs("X = 1", "model = f(X)")
    assert contradictions(trace(ran, ["model"]), ran, "model = f(X)", "X = 1") == [(2, 1, "X")]


def test_a_cell_between_that_would_write_the_name_last_is_out_of_order() -> None:
    ran = runs("X = 1", "model = f(X)", "X = 2")
    lineage = trace(ran, ["model"])
    assert contradictions(lineage, ran, "X = 1", "X = 2", "model = f(X)") == [(2, 1, "X")]
    assert contradictions(lineage, ran, "X = 1", "model = f(X)", "X = 2") == []


def test_a_cell_that_ran_twice_on_its_own_result_is_out_of_order() -> None:
    ran = runs("X = 1", "X = X * 2", "X = X * 2", "model = f(X)")
    found = contradictions(trace(ran, ["model"]), ran, "X = 1", "X = X * 2", "model = f(X)")
    assert found == [(3, 2, "X")]


def test_fitting_or_filling_again_is_not() -> None:
    ran = runs("df = 1", "df['a'] = df.b", "df['a'] = df.b", "m = M()", "m.fit(df)", "m.fit(df)")
    assert contradictions(trace(ran, ["m"]), ran, "df = 1", "df['a'] = df.b", "m = M()", "m.fit(df)") == []


def test_a_cell_run_again_that_binds_what_it_reads_is_not() -> None:
    cell = "X = load()\nY = X.mean()"
    ran = runs(cell, cell, "model = f(Y)")
    assert contradictions(trace(ran, ["model"]), ran, cell, "model = f(Y)") == []


def test_a_function_may_use_what_is_defined_below_it() -> None:
    ran = runs("def f(): return g()", "def g(): return 1", "def f(): return g()", "model = f()")
    saved = ("def f(): return g()", "def g(): return 1", "model = f()")
    lineage = trace(ran, ["model"])
    assert counts(lineage.runs) == [2, 3, 4]
    assert contradictions(lineage, ran, *saved) == []
