"""The migration that brings people, audit and settings keeps the users there are."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import POSTGRES, ROOT, settings
from flask import Flask
from flask_migrate import downgrade, upgrade

from app import create_app
from app.core.db import db

FOLDER = str(ROOT / "migrations")
USERS = {"boss": "Boss@Example.com", "one": "Same@x.org", "two": "same@x.org", "none": None}


@pytest.fixture
def old(engine: str, tmp_path: Path) -> Iterator[Flask]:
    """An app on a database of the release before."""
    if engine == "sqlite":
        yield from on(f"sqlite:///{tmp_path / 'old.db'}", tmp_path)
        return
    if not POSTGRES:
        pytest.skip("FIKSTUR_TEST_POSTGRES_URL is not set")
    name = f"fikstur_test_{uuid.uuid4().hex[:10]}"
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    url = sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    yield from on(url, tmp_path)
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def on(url: str, folder: Path) -> Iterator[Flask]:
    app = create_app(settings(folder, DATABASE_URL=url))
    with app.app_context():
        upgrade(directory=FOLDER, revision="0005")
        yield app
        db.session.remove()
        db.engine.dispose()


def emails() -> dict[str, str | None]:
    with db.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT username, email FROM app_user"))
        return {row.username: row.email for row in rows}


@pytest.mark.usefixtures("old")
def test_users_stay_and_their_addresses_become_small_where_nobody_else_has_them() -> None:
    insert = sa.text(
        "INSERT INTO app_user (id, username, username_key, email, first_name, last_name, role,"
        " is_active, password_hash, session_key, date_joined) VALUES (:id, :name, :name, :email,"
        " '', '', 'administrator', :yes, 'hash', 'key', '2025-01-01 00:00:00.000000')"
    )
    with db.engine.begin() as connection:
        for name, email in USERS.items():
            row = {"id": str(uuid.uuid4()), "name": name, "email": email, "yes": True}
            connection.execute(insert, row)
    upgrade(directory=FOLDER)
    assert emails() == {**USERS, "boss": "boss@example.com"}
    with db.engine.connect() as connection:
        given = connection.execute(sa.text("SELECT password_is_given FROM app_user")).scalars()
        assert not any(given)
    downgrade(directory=FOLDER, revision="0005")
    assert len(emails()) == len(USERS)
