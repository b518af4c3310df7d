from __future__ import annotations

from nbmlops.packaging.pins import Pin, read_lock
from tests.packaging.conftest import ENVIRONMENT


def test_every_form_of_a_line_is_read() -> None:
    text = (
        "Python_Dateutil==2.9.0\n./wheels/my_house-0.1-py3-none-any.whl\nfar @ git+https://host/far@abc\n"
        "# Near.By==3.0 is an editable install: no index has it\n"
    )
    assert read_lock(text) == (
        Pin("python-dateutil", "2.9.0", "Python_Dateutil==2.9.0"),
        Pin(
            "my-house",
            "0.1",
            "./wheels/my_house-0.1-py3-none-any.whl",
            wheel="wheels/my_house-0.1-py3-none-any.whl",
        ),
        Pin("far", "", "far @ git+https://host/far@abc"),
        Pin("near-by", "3.0", ""),
    )


def test_what_the_lock_writes_is_read() -> None:
    from nbmlops.packaging.lock import lock

    made = lock(ENVIRONMENT, "sklearn")
    pins = read_lock(made.with_wheels({"house": "wheels/house-0.1-py3-none-any.whl"}))
    assert {pin.name for pin in pins} == {one.name.lower().replace("_", "-") for one in made.packages}
    assert [pin.wheel for pin in pins if pin.name == "house"] == ["wheels/house-0.1-py3-none-any.whl"]
