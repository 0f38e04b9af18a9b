from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from panel import signed_in

from app.core.clock import now
from app.core.db import reading, transaction
from app.monitoring.traffic import HOURS, last_hours
from app.sources.models import RequestLog

AT = datetime(2025, 5, 5, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def edges() -> bool:
    """Links, commands or requests are part of it."""
    return True


def asked(at: datetime, *codes: str) -> None:
    with transaction() as session:
        for code in codes:
            session.add(RequestLog(at=at, source="sandbox", template="/x", key="1", code=code))


def test_each_hour_counts_its_requests_and_what_failed(app: Flask) -> None:
    asked(AT, "OK", "NO_DATA", "SERVER_ERROR")  # that there is nothing is an answer
    asked(AT.replace(minute=0, second=0), "OK_UNCHANGED")
    asked(AT.replace(minute=0, second=0) - timedelta(microseconds=1), "DNS")
    asked(AT - timedelta(hours=HOURS), "OK")  # yesterday's
    with reading() as session:
        hours = last_hours(session, AT)
    assert len(hours) == HOURS
    assert [(hour.requests, hour.failed) for hour in hours[-2:]] == [(1, 1), (4, 1)]
    assert sum(hour.requests for hour in hours) == 5
    assert hours[-1].begins_at == AT.replace(minute=0, second=0)


def test_the_dashboard_draws_them_and_says_the_same_in_a_table(app: Flask) -> None:
    client = signed_in(app)
    assert "requests-table" not in client.text("/admin/")  # nothing was asked: no empty drawing
    app.extensions.pop("fikstur-hours")
    asked(now(), "OK", "OK", "TIMEOUT_READ")
    page = client.text("/admin/")
    assert 'data-chart="requests-table"' in page
    assert '<td data-value="2">2</td><td data-value="1">1</td>' in page
    assert "vendor/chart.min.js" in page
    assert page.count('<td data-value="0">0</td><td data-value="0">0</td>') == HOURS - 1
