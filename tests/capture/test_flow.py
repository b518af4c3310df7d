from __future__ import annotations

import pytest

from nbmlops.capture.flow import Flow, flow


@pytest.mark.parametrize(
    ("source", "reads", "binds", "changes"),
    [
        ("a = b + 1", "b", "a", ""),
        ("a = a * 2", "a", "a", ""),
        ("a = 1\nb = a", "", "a b", ""),
        ("a += b", "a b", "a", ""),
        ("import x.y, z as w\nfrom m import n as o", "", "x w o", ""),
        ("for i in items:\n    total = i", "items", "i total", ""),
        ("with open(p) as f:\n    d = f.read()", "open p", "f d", ""),
        ("(n := count(x))", "count x", "n", ""),
        ("squares = [i * k for i in items if i]", "items k", "squares", ""),
        ("{k: v for k, v in pairs}", "pairs", "", ""),
        ("model.fit(X, y)", "model X y", "", "model"),
        ("search = GridSearchCV(m).fit(X)", "GridSearchCV m X", "search", ""),
        ("fitted = model.steps[0].fit_transform(X)", "model X", "fitted", "model"),
        ("df['a'] = df.b", "df", "", "df"),
        ("df.loc[0, 'a'] += 1", "df", "", "df"),
        ("del df['a']", "df", "", "df"),
        ("model.alpha = 3", "model", "", "model"),
        ("df.drop(columns='a', inplace=True)", "df", "", "df"),
        ("rows.append(x)", "rows x", "", "rows"),
        ("df = load()\ndf['x'] = 1", "load", "df", "df"),
        ("class A(Base):\n    k = other\n    def f(self): return k2", "Base other", "A", ""),
        ("print(x := 3, x)", "print", "x", ""),
        ("%matplotlib inline\na = b", "get_ipython b", "a", ""),
        ("v = %magic model", "get_ipython", "v", ""),
        ("!ls", "get_ipython", "", ""),
        ("%%time\nmodel.fit(X)", "model X", "", "model"),
        ("%%bash\nls -l | wc", "", "", ""),
        ("this is no Python", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_what_a_cell_reads_binds_and_changes(source: str, reads: str, binds: str, changes: str) -> None:
    found = flow(source)
    assert (found.reads, found.binds, found.changes) == tuple(frozenset(one.split()) for one in (reads, binds, changes))


def test_the_body_of_a_function_is_read_when_it_is_called() -> None:
    found = flow("def f(a, b=start):\n    c = helper(a)\n    return lambda d: c + d + a + scale")
    assert found == Flow(frozenset({"start"}), frozenset({"helper", "scale"}), frozenset({"f"}))
