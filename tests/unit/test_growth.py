"""The report on growth: its arithmetic, its tables and pictures, and that what is filled in is what is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.names import canonical_id
from app.domain.types import ListQuery
from app.metadata.sql.sqlite import SqliteStore
from loadtests import filling, ladder
from loadtests.growth import main
from loadtests.ladder import Growth, Measured, Size, growth_of
from loadtests.measure import Result


def one_round(server_cpu_us: float | None = 100.0, **changes: object) -> Result:
    fields: dict[str, object] = {
        "requests": 3_000, "errors": 0, "first_error": "", "ops_per_s": 1_500.0, "p50_ms": 1.0, "p95_ms": 2.0,
        "p99_ms": 3.0, "server_cpu_us": server_cpu_us, "client_cpu_us": 10.0, "pss_mb": 60.0, "others_share": 0.0,
    }  # fmt: skip
    return Result(**(fields | changes))  # type: ignore[arg-type]


def a_report() -> Growth:
    cheap, dear = [one_round(120.0), one_round(100.0)], [one_round(260.0), one_round(250.0)]
    measured = [Measured("keys", 1_000, "GET", cheap), Measured("keys", 10_000, "GET", dear)]
    size = Size("keys", 1_000, 0.1, 0.5, 0.6, 0.7, 50.0, 70.0, 1.5)
    return Growth({"kernel": "6.1"}, measured, [size])


def test_growth_is_the_least_cost_of_the_last_step_over_the_least_before_it() -> None:
    curve = a_report().curve("keys", "GET")
    assert growth_of(curve) == 2.5
    assert growth_of(curve[:1]) is None
    assert growth_of([]) is None
    assert growth_of([Measured("keys", 1, "GET", [one_round(None)]), *curve[1:]]) is None


def test_the_tables_say_what_each_step_costs_and_mark_what_grows() -> None:
    table = ladder.text(a_report())
    assert "| GET | 100 | 250 | **2.50** |" in table
    assert "| GET | 1,500 · 1.0 · 3.0 | 1,500 · 1.0 · 3.0 |" in table
    assert "| database, MB | 1.5 |" in table
    assert "* kernel: 6.1" in table


def test_a_report_is_read_again_and_takes_the_axes_of_another(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    ladder.write(a_report(), path)
    assert ladder.read(path) == a_report()
    other = Growth({}, [Measured("keys", 1_000, "GET", [one_round(50.0)]), Measured("users", 1, "PUT", [one_round()])])
    both = a_report()
    both.take(other)
    assert both.axes() == ["keys", "users"]
    assert [each.cpu_us for each in both.curve("keys", "GET")] == [50.0]
    assert both.sizes == []
    path.write_text("{}")
    with pytest.raises(ValueError, match="holds no report"):
        ladder.read(path)


def test_a_report_is_shown_once_more_with_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "growth.json"
    ladder.write(a_report(), path)
    assert main(["--report", str(path)]) == 0
    assert "**2.50**" in capsys.readouterr().out
    assert {each.name for each in tmp_path.glob("*.png")} == {"growth-keys.png", "growth-size.png"}
    failed = a_report()
    failed.measured.append(Measured("keys", 10_000, "PUT", [one_round(errors=1, first_error="status 500")]))
    ladder.write(failed, path)
    assert main(["--report", str(path), "--no-plots"]) == 1
    assert "status 500" in capsys.readouterr().err


def test_an_axis_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--axes", "keys,colours"])
    assert "expected some of keys, buckets, users, clients" in capsys.readouterr().err


def test_copies_are_what_publishes_would_have_left(tmp_path: Path) -> None:
    database = tmp_path / "metadata.db"
    SqliteStore.from_path(database).migrate()
    filling.fill(database, "keys", 0, 1_200)
    store = SqliteStore.from_path(database)
    store.open()
    try:
        for number in (5, 1_001, 1_111, 1_199):
            key, owner_id = filling.key_of(number), canonical_id("root")
            copied = store.look_up(filling.BUCKET, key, inline=True).version
            size_bytes = 1_024 if filling.is_read(number) else 64
            store.submit(filling._publish(filling.BUCKET, key, number, owner_id, size_bytes))
            published = store.look_up(filling.BUCKET, key, inline=True).version
            assert copied is not None
            assert published is not None
            assert copied._replace(sequence=published.sequence) == published
            assert published.sequence > copied.sequence
        assert store.verify() == []
    finally:
        store.close()


def test_what_is_filled_in_goes_through_the_engine_and_is_what_is_asked_for(tmp_path: Path) -> None:
    database = tmp_path / "metadata.db"
    SqliteStore.from_path(database).migrate()
    filling.fill(database, "keys", 0, 1_500)
    filling.fill(database, "keys", 1_500, 2_500)
    filling.fill(database, "users", 0, 3)
    store = SqliteStore.from_path(database)
    store.open()
    try:
        page = store.list_current(ListQuery(filling.BUCKET, limit=1_000))
        assert len(page.entries) == 1_000
        assert page.is_truncated
        assert len(store.list_current(ListQuery(filling.BUCKET, delimiter="/")).common_prefixes) == filling.FOLDERS
        for number, size_bytes in ((0, 1_024), (999, 1_024), (1_001, 64), (1_010, 1_024), (2_499, 64)):
            found = store.look_up(filling.BUCKET, filling.key_of(number), inline=True).version
            assert found is not None
            assert found.size_bytes == size_bytes
            assert len(found.content.inline or b"") == size_bytes
            assert filling.is_read(number) == (size_bytes == 1_024)
        assert store.verify() == []
        assert store.look_up(filling.bucket_of(2), filling.name_of(filling.SPREAD // 3 - 1)).version is not None
        owners = {store.bucket(filling.bucket_of(number)).owner_id for number in range(3)}
        assert len(owners) == 3
    finally:
        store.close()
