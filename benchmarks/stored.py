"""A PostgreSQL database as a season of fetching leaves it: answers, and the rows made of them.

Of the recorded answers come the sizes: how large an event, its statistics, incidents and line-ups
are once compressed, and how many rows they are made into. A third of such a database are answers.
"""

import random
from typing import Any

import psycopg

FIRST_ID = 10_000_000
AT_ONCE = 1000  # matches in one transaction
COMPRESSED = {"event": 2100, "statistics": 1100, "incidents": 1800, "lineups": 5200}  # bytes
STATISTICS, INCIDENTS, PLAYERS = 110, 15, 44  # rows of one match

Connection = psycopg.Connection[Any]


def fill(url: str, mb: int) -> int:
    """Store matches until the database is that large; its size in bytes."""
    chance = random.Random(20250505)
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        first = FIRST_ID
        while (size := _size(connection)) < mb * 2**20:
            _store(connection, chance, first, first + AT_ONCE - 1)
            first += AT_ONCE
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return size


def _size(connection: Connection) -> int:
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _store(connection: Connection, chance: random.Random, first: int, last: int) -> None:
    connection.execute(_MATCHES, (first, last))
    _store_answers(connection, chance, first, last)
    for statement in (_DETAILS, _STATISTICS, _INCIDENTS, _PLAYERS):
        connection.execute(statement, (str(first), str(last)))
    row = connection.execute(_JOB, (AT_ONCE * len(COMPRESSED),)).fetchone()
    assert row
    connection.execute(_ITEMS, (row[0], str(first), str(last)))
    for statement in (_EVENTS, _REQUESTS):
        connection.execute(statement, (row[0],))
    connection.commit()


def _store_answers(connection: Connection, chance: random.Random, first: int, last: int) -> None:
    into = (
        "COPY raw_answer (source, kind, key, fetched_at, http_status, sha256, size, body)"
        " FROM STDIN"
    )
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for number in range(first, last + 1):
            for kind, size in COMPRESSED.items():
                body = chance.randbytes(
                    int(size * chance.uniform(0.6, 1.4))
                )  # nothing left to pack
                told = (_FETCHED, 200, chance.randbytes(32).hex(), 6 * len(body), body)
                copy.write_row(("sandbox", kind, str(number), *told))


_FETCHED = "2025-05-05 10:11:12.123456+00"
_MATCHES = """
INSERT INTO match (source, source_id, kickoff, status, raw_status, home, away, home_id, away_id,
    home_score, away_score, home_half_time, away_half_time, competition, competition_id, season,
    round, country, first_seen_at, last_seen_at, changed_at)
SELECT 'sandbox', n::text, now() - mod(n, 900000) * interval '11 min', 'FINISHED', 'finished/100',
    'Team ' || (random() * 40000)::int, 'Team ' || (random() * 40000)::int,
    (random() * 40000)::int::text, (random() * 40000)::int::text, (random() * 5)::int,
    (random() * 5)::int, (random() * 3)::int, (random() * 3)::int, 'League ' || mod(n, 900),
    (mod(n, 900))::text, '2025/2026', 'Round ' || mod(n, 38), 'Country ' || mod(n, 200), now(),
    now() - random() * interval '9 days', now()
FROM generate_series(%s::int, %s) n"""
_DETAILS = """
INSERT INTO match_detail (source, source_id, kind, code, missing, content_hash, raw_id,
    raw_sha256, fetched_at, looked_at)
SELECT source, key, kind, 'OK', '', sha256, id, sha256, fetched_at, fetched_at
FROM raw_answer WHERE key BETWEEN %s AND %s ORDER BY id"""
_STATISTICS = f"""
INSERT INTO match_statistic (detail_id, position, period, "group", name, home, away)
SELECT d.id, p, (ARRAY['ALL', '1ST', '2ND'])[p / 37 + 1],
    (ARRAY['Match overview', 'Shots', 'Attack', 'Passes', 'Duels', 'Defending', 'Goalkeeping'])
        [mod(p, 37) / 6 + 1],
    (ARRAY['Ball possession', 'Expected goals', 'Big chances', 'Total shots', 'Goalkeeper saves',
        'Corner kicks', 'Fouls', 'Passes', 'Tackles', 'Free kicks', 'Yellow cards'])
        [mod(p, 11) + 1],
    (random() * 60)::int::text, (random() * 60)::int::text
FROM match_detail d, generate_series(0, {STATISTICS - 1}) p
WHERE d.kind = 'statistics' AND d.source_id BETWEEN %s AND %s ORDER BY d.id, p"""
_INCIDENTS = f"""
INSERT INTO match_incident (detail_id, position, kind, detail, minute, home, player, other,
    home_score, away_score)
SELECT d.id, p, (ARRAY['goal', 'card', 'substitution', 'period'])[mod(p, 4) + 1],
    CASE mod(p, 3) WHEN 0 THEN 'regular' WHEN 1 THEN 'yellow' END, p * 6, mod(p, 2) = 0,
    'Player ' || (random() * 90000)::int,
    CASE WHEN mod(p, 4) = 2 THEN 'Player ' || (random() * 90000)::int END, p / 8, p / 9
FROM match_detail d, generate_series(0, {INCIDENTS - 1}) p
WHERE d.kind = 'incidents' AND d.source_id BETWEEN %s AND %s ORDER BY d.id, p"""
_PLAYERS = f"""
INSERT INTO match_player (detail_id, position, side, formation, confirmed, name, player_id, number,
    place, substitute)
SELECT d.id, p, CASE WHEN p < 22 THEN 'home' ELSE 'away' END, '4-2-3-1', true,
    'Player ' || (random() * 90000)::int, (random() * 900000)::int::text, mod(p, 22) + 1,
    (ARRAY['G', 'D', 'M', 'F'])[mod(p, 4) + 1], mod(p, 22) > 10
FROM match_detail d, generate_series(0, {PLAYERS - 1}) p
WHERE d.kind = 'lineups' AND d.source_id BETWEEN %s AND %s ORDER BY d.id, p"""
_JOB = """
INSERT INTO job (kind, state, params, priority, trigger, requested_by, submitted, submitted_at,
    retries)
VALUES ('fetch_details', 'DONE', '{}', 4, 'panel', 'operator', %s, now(), 0) RETURNING id"""
_ITEMS = """
INSERT INTO job_item (job_id, kind, source, key, state, outcome, code, attempts, crashes, fence,
    worker, not_before, started_at, finished_at)
SELECT %s, 'detail:' || kind, source, source_id, 'done', 'new', 'OK', 1, 0, 1,
    'server-01:4711:8d2f6c1e', looked_at, looked_at, looked_at
FROM match_detail WHERE source_id BETWEEN %s AND %s ORDER BY id"""
_EVENTS = """
INSERT INTO job_event (job_id, item_id, at, event, state, worker, fence, code)
SELECT job_id, id, started_at, event, 'done', worker, 1, 'OK'
FROM job_item, unnest(ARRAY['claimed', 'done']) event WHERE job_id = %s ORDER BY id"""
_REQUESTS = """
INSERT INTO request_log (at, source, template, key, status, code, bytes, elapsed_ms, attempt,
    job_id, item_id)
SELECT started_at, source, '/api/v1/event/{id}', key, 200, 'OK', 4000 + (random() * 9000)::int,
    40 + (random() * 400)::int, 1, job_id, id
FROM job_item WHERE job_id = %s ORDER BY id"""
