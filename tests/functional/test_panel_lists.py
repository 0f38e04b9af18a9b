import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser

import pytest
from collection import HOSTILE, an_error, fill
from factories import a_job
from flask import Flask
from panel import Visitor, signed_in

from app.admin.base import ListView
from app.admin.dashboard import CODE_FILTER
from app.admin.search import fold
from app.core.clock import now
from app.core.db import transaction
from app.errors.record import resolve
from app.jobs import steer

LISTS = ("days", "matches", "errors", "jobs", "requests", "answers", "workers")


@pytest.fixture
def ids(app: Flask) -> dict[str, int]:
    made = fill()
    made["error"] = an_error("2025-05-05")
    an_error("2025-05-07", code="INVALID_JSON", source="football_data", http_status=None)
    made["job"] = a_job(days=3)
    with transaction() as session:
        steer.cancel(session, a_job(), by="tester")
    return made


@pytest.fixture
def client(app: Flask, ids: dict[str, int]) -> Visitor:
    return signed_in(app)


class _Cells(HTMLParser):
    """The texts of a table's body."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self._in_body = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._in_body = self._in_body or tag == "tbody"
        if tag == "tr" and self._in_body:
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_body = self._in_body and tag != "tbody"

    def handle_data(self, data: str) -> None:
        if self._in_body and self.rows:
            self.rows[-1] += data


def list_of(place: str) -> str:
    """Where the list is; the page of matches itself is that of a day."""
    return "/admin/matches/all" if place == "matches" else f"/admin/{place}/"


def rows(page: str) -> list[str]:
    return [" ".join(row.split()) for row in _Cells(page).rows]


def views(app: Flask) -> dict[str, ListView]:
    panel = app.extensions["admin"][0]
    return {v.endpoint: v for v in panel._views if isinstance(v, ListView)}


@pytest.mark.parametrize("place", LISTS)
def test_every_list_answers_with_rows_search_filters_sorts_and_sizes(
    app: Flask, client: Visitor, place: str
) -> None:
    view = views(app)[place]
    for url in addresses(view):
        assert rows(client.text(list_of(place) + url)), url
    assert len(rows(client.text(list_of(place)))) > 0
    assert "Nothing matches" in client.text(f"{list_of(place)}?search=zzz-nothing-zzz")


def addresses(view: ListView) -> Iterator[str]:
    yield from ("", "?search=a", "?search=%25_%27%22", "?search=a%00b&page=0", "?page_size=20")
    for at, (column, _name) in enumerate(view._list_columns):
        if view.is_sortable(column):
            yield from (f"?sort={at}", f"?sort={at}&desc=1")
    for at, wanted in enumerate(view._filters or []):
        options = wanted.get_options(view)
        for value in [value for value, _ in options] if options else ["2025-05-05", "İğ%00"]:
            yield f"?{view.filter_arg(at)}={value}"
    # whatever stands in the address, the answer is a page
    yield from ("?page=-1", "?page=99999999999999999999", "?sort=99&desc=x", "?flt0=nonsense")
    yield from ("?endpoint=x&_external=1&_anchor=a", "?flt99=x", "?page_size=1000000")


def test_markup_in_data_is_shown_and_never_run(client: Visitor, ids: dict[str, int]) -> None:
    pages = [list_of(place) for place in LISTS]
    pages += [
        f"/admin/matches/details/?id={ids['match']}",
        f"/admin/errors/details/?id={ids['error']}",
        f"/admin/days/details/?id={ids['day']}",
        f"/admin/matches/all?search={HOSTILE}",
        f"/admin/job/{ids['job']}?state={HOSTILE}",
    ]
    for page in pages:
        html = client.text(page)
        assert "<script>alert" not in html, page
        assert "onclick" not in html, page
        assert "javascript:" not in html, page
    assert "&lt;script&gt;" in client.text("/admin/matches/all")
    assert "&lt;script&gt;" in client.text(f"/admin/errors/details/?id={ids['error']}")


def test_scores_say_how_they_came_about(client: Visitor) -> None:
    page = " ".join(rows(client.text("/admin/matches/all")))
    assert "2 : 1 (1 : 0)" in page
    assert "2 : 1 (pens 4-2)" in page
    assert "2 : 1 aet" in page


TYPED = {
    "besiktas": "Beşiktaş",
    "BEŞİKTAŞ": "Beşiktaş",
    "istanbul": "İstanbul",
    "ISTANBUL": "İstanbul",
    "iğdir": "Iğdır",
    "fenerbahce galata": "Fenerbahçe",
    "lodz": "Łódź",
    "arhus": "Århus",
    "atletico": "Atlético",
}


def test_names_are_found_as_people_type_them(client: Visitor) -> None:
    for typed, team in TYPED.items():
        (row,) = rows(client.text(f"/admin/matches/all?search={typed}"))
        assert team in row
    assert fold(None) is None


def test_a_day_leads_to_its_matches(client: Visitor, ids: dict[str, int]) -> None:
    assert f'href="/admin/matches/all?day={ids["day"]}"' in client.text("/admin/days/")
    page = client.text(f"/admin/matches/all?day={ids['day']}")
    assert "Only the list of sandbox for 2025-05-05 is shown" in page
    assert len(rows(page)) == 4
    assert len(rows(client.text(f"/admin/matches/all?day={ids['day']}&search=galata"))) == 1
    assert f'name="day" value="{ids["day"]}"' in page  # the filter form keeps it
    assert len(rows(client.text("/admin/matches/all?day=nonsense"))) == 5


def test_the_day_of_a_filter_is_the_day_where_people_read_times(client: Visitor) -> None:
    since, until = "flt4", "flt5"
    assert len(rows(client.text(f"/admin/matches/all?{since}=2025-05-05&{until}=2025-05-05"))) == 4
    assert "Nothing matches" in client.text(f"/admin/matches/all?{since}=2025-05-06")


def test_times_are_shown_in_the_configured_zone_with_seconds(client: Visitor) -> None:
    page = client.text("/admin/matches/all")
    assert "2025-05-05 12:30:15</time>" in page  # 09:30:15 UTC in Istanbul
    assert 'title="2025-05-05 09:30:15 UTC"' in page


def test_a_match_shows_its_changes_and_where_it_is_listed(
    client: Visitor, ids: dict[str, int]
) -> None:
    page = client.text(f"/admin/matches/details/?id={ids['match']}")
    text = " ".join(rows(page))
    assert "Status live finished" in text
    assert "Home nothing" in text
    assert f'href="/admin/answers/details/?id={ids["raw"]}"' in page
    assert "1,234" in page
    gaps = client.text(f"/admin/matches/details/?id={ids['gaps']}")
    assert "It has not changed" in gaps


def test_a_row_that_is_not_there_leads_back_to_the_list(client: Visitor) -> None:
    for place in ("days", "matches", "errors", "requests", "answers"):
        for wrong in ("0", "99999", "-1", "abc", "9" * 30, "", "1%00"):
            answer = client.get(f"/admin/{place}/details/?id={wrong}")
            assert answer.status_code == 302
            assert answer.location.endswith(list_of(place))


def test_the_raw_answer_is_described_but_not_loaded(client: Visitor, ids: dict[str, int]) -> None:
    page = client.text(f"/admin/answers/details/?id={ids['raw']}")
    assert "0" * 64 in page
    assert "packed" not in page


def test_errors_show_the_open_ones_until_asked_otherwise(client: Visitor) -> None:
    with transaction() as session:
        resolve(session, "sandbox", "fetch_day", "2025-05-05", now())
    assert [r for r in rows(client.text("/admin/errors/")) if "2025-05-07" in r]
    assert len(rows(client.text("/admin/errors/"))) == 1
    assert len(rows(client.text("/admin/errors/?show=all"))) == 2
    (resolved,) = rows(client.text("/admin/errors/?show=resolved"))
    assert "2025-05-05" in resolved
    assert "Retry" not in resolved


def test_the_dashboard_filter_for_a_code_is_the_filter_of_the_list(
    app: Flask, client: Visitor
) -> None:
    view = views(app)["errors"]
    at = [view.filter_arg(i) for i, f in enumerate(view._filters) if f.column.key == "code"]
    assert at == [CODE_FILTER]
    link = re.search(r'href="(/admin/errors/\?[^"]+)"', client.text("/admin/"))
    assert len(rows(client.text(link[1].replace("&amp;", "&")))) == 1


def test_workers_say_whether_they_live(client: Visitor) -> None:
    page = rows(client.text("/admin/workers/"))
    assert {row.split()[0]: row.split()[1] for row in page} == {
        "alive": "pc",
        "stopped": "ıssız",
        "silent": "lost",
    }


def test_jobs_show_a_bar_of_states(client: Visitor, ids: dict[str, int]) -> None:
    page = client.text("/admin/jobs/")
    assert f'href="/admin/job/{ids["job"]}"' in page
    assert 'class="is-waiting"' in page
    assert 'class="is-cancelled"' in page
    assert len(rows(client.text(f"/admin/jobs/?search={ids['job']}"))) == 1


def test_an_empty_list_says_what_to_do(app: Flask) -> None:
    client = signed_in(app)
    for place in ("days", "matches", "jobs"):
        assert "Fetch a day" in client.text(list_of(place))
    assert "flask --app wsgi worker" in client.text("/admin/workers/")


def test_days_are_searched_by_data_id(client: Visitor) -> None:
    (row,) = rows(client.text("/admin/days/?search=20250506"))
    assert str(date(2025, 5, 6)) in row


def test_everything_is_also_there_in_turkish(app: Flask, client: Visitor) -> None:
    client.press("/language", language="tr")
    for place in LISTS:
        page = client.text(list_of(place))
        assert '<html lang="tr">' in page
    assert "05.05.2025 12:30:15" in client.text("/admin/matches/all")
