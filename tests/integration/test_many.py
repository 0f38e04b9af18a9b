"""Statements about many rows: the same rows and errors on both engines."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from app.core.db import persist, reading, transaction
from app.core.many import append, append_numbered, merge, one_of
from app.core.told import ROWS_EACH
from app.fixtures.models import MatchDetail, MatchStatistic, RawAnswer

AT = datetime(2025, 5, 5, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("app")


def raw(key: str, **changes: object) -> dict[str, object]:
    return {
        "source": "sandbox",
        "kind": "detail_event",
        "key": key,
        "fetched_at": AT,
        "http_status": 200,
        "sha256": "0" * 64,
        "size": 3,
        "body": b"\x00\\x\n\t\xff",
        "etag": None,
        "last_modified": None,
    } | changes


def head(match_id: str, **changes: object) -> dict[str, object]:
    kept = {"source": "sandbox", "source_id": match_id, "kind": "event"}
    return kept | {"code": "OK", "missing": "", "looked_at": AT} | changes


def test_rows_come_back_as_they_were_told() -> None:
    with transaction() as session:
        append(session, RawAnswer, [raw("a\tb\\N\n'\"ğü"), raw("c", etag='W/"1"')])
    with reading() as session:
        rows = session.scalars(select(RawAnswer).order_by(RawAnswer.id)).all()
    assert [row.key for row in rows] == ["a\tb\\N\n'\"ğü", "c"]
    assert [row.etag for row in rows] == [None, 'W/"1"']
    assert [row.body for row in rows] == [b"\x00\\x\n\t\xff"] * 2
    assert [row.fetched_at for row in rows] == [AT] * 2


def test_numbers_are_those_of_the_rows() -> None:
    with transaction() as session:
        first = append_numbered(session, RawAnswer, [raw("a"), raw("b")])
        second = append_numbered(session, RawAnswer, [raw("c")])
        assert append_numbered(session, RawAnswer, []) == []
    with reading() as session:
        found = dict(session.execute(select(RawAnswer.key, RawAnswer.id)).all())
    assert [found["a"], found["b"]] == first
    assert [found["c"]] == second


def test_a_merge_adds_and_overwrites_only_what_it_names() -> None:
    key = ["source", "source_id", "kind"]
    with transaction() as session:
        merge(session, MatchDetail, [head("1", content_hash="x")], key, ["code", "content_hash"])
        again = [head("1", code="NO_DATA"), head("2")]
        merge(session, MatchDetail, again, key, ["code"])  # other columns, the same transaction
        merge(session, MatchDetail, [], key, ["code"])
    with reading() as session:
        rows = session.execute(
            select(MatchDetail.source_id, MatchDetail.code, MatchDetail.content_hash)
        ).all()
    assert sorted(rows) == [("1", "NO_DATA", "x"), ("2", "OK", None)]


def test_one_of_finds_numbers_and_texts_and_nothing_in_nothing() -> None:
    with transaction() as session:
        ids = append_numbered(session, RawAnswer, [raw("1"), raw("b"), raw("c")])
    with reading() as session:

        def keys(condition: object) -> set[str]:
            return set(session.scalars(select(RawAnswer.key).where(condition)))

        assert keys(one_of(RawAnswer.id, ids[:2])) == {"1", "b"}
        assert keys(one_of(RawAnswer.key, ["1", "c", "'"])) == {"1", "c"}
        assert keys(one_of(RawAnswer.id, [])) == keys(one_of(RawAnswer.key, [])) == set()


ODD = [
    '"',
    "\\",
    '\\"',
    "'",
    "{a,b}",
    "a,b",
    "null",
    "NULL",
    " a ",
    "a\tb\n",
    "ğİ🙂",
    "%s",
    "",
    "$1::int",
]


def test_one_of_finds_a_text_whatever_is_in_it_and_no_other() -> None:
    with transaction() as session:
        append(session, RawAnswer, [raw(odd) for odd in ODD])
    with reading() as session:
        for odd in ODD:
            found = session.scalars(select(RawAnswer.key).where(one_of(RawAnswer.key, [odd])))
            assert found.all() == [odd]
        every = select(func.count()).where(one_of(RawAnswer.key, ODD))
        assert session.scalar(every) == len(ODD)


def test_moments_are_the_same_from_any_zone_and_those_without_one_are_refused() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    fine = AT.replace(microsecond=123456)
    with transaction() as session:
        moments = [AT, elsewhere, fine, AT]
        rows = [raw(str(n), fetched_at=at) for n, at in enumerate(moments)]
        append(session, RawAnswer, rows)
    with reading() as session:
        told = session.scalars(select(RawAnswer.fetched_at).order_by(RawAnswer.id)).all()
    assert told == [AT, AT, fine, AT]
    naive = raw("naive", fetched_at=AT.replace(tzinfo=None))
    with pytest.raises((ValueError, DBAPIError, StatementError)), transaction() as session:
        append(session, RawAnswer, [naive])


def test_what_is_refused_is_refused_in_the_librarys_words_and_leaves_nothing() -> None:
    row = {"detail_id": 999, "position": 0, "period": "ALL", "group": "g", "name": None}
    with pytest.raises(DBAPIError), transaction() as session:
        append(session, RawAnswer, [raw("a")])
        append(session, MatchStatistic, [row])
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(RawAnswer)) == 0


@pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_copy_whose_connection_died_is_made_again(engine: str) -> None:
    killed: list[int] = []

    def work(session: object) -> None:
        if not killed:
            killed.append(session.scalar(select(func.pg_backend_pid())))
            with transaction() as other:
                other.execute(text(f"SELECT pg_terminate_backend({killed[0]})"))
        append(session, RawAnswer, [raw("a")])

    persist(work)
    with reading() as session:
        assert session.scalars(select(RawAnswer.key)).all() == ["a"]


def test_more_rows_than_one_statement_takes_come_in_their_order() -> None:
    count = 2 * ROWS_EACH + 3
    keys = [f"k{n}" for n in range(count)]
    with transaction() as session:
        numbers = append_numbered(
            session, RawAnswer, [raw(key, size=n) for n, key in enumerate(keys)]
        )
    with reading() as session:
        found = session.execute(select(RawAnswer.id, RawAnswer.key, RawAnswer.size)).all()
    told = zip(numbers, keys, range(count), strict=True)
    assert sorted(map(tuple, found)) == list(told)


def test_a_merge_of_many_overwrites_each_with_its_own() -> None:
    key = ["source", "source_id", "kind"]
    ids = [f"{n}" for n in range(ROWS_EACH + 2)]
    with transaction() as session:
        merge(session, MatchDetail, [head(one) for one in ids], key, ["code"])
        merge(session, MatchDetail, [head(one, code=f"C{one}") for one in ids], key, ["code"])
    with reading() as session:
        found = dict(session.execute(select(MatchDetail.source_id, MatchDetail.code)).all())
    assert found == {one: f"C{one}" for one in ids}
