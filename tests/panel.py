"""Somebody at the panel: a browser without a screen, signed in or not."""

import contextvars
import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import users
from app.accounts.models import Role
from app.core.db import transaction

PASSWORD = "a password for tests"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor(FlaskClient):
    """Each request in a context of its own, as in a server: the test's open app context would
    otherwise be shared, and with it who was signed in."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return contextvars.Context().run(super().open, *args, **kwargs)

    def text(self, url: str, status: int = 200) -> str:
        """The page there; fails when the answer is another one."""
        answer = self.get(url)
        assert answer.status_code == status, (url, answer.status_code, answer.text[-2000:])
        return answer.text

    def token(self, page: str = "/admin/") -> str:
        """The CSRF token a form of the page holds."""
        found = _TOKEN.search(self.text(page))
        assert found, page
        return found[1]

    def press(self, url: str, /, page: str = "/admin/", **fields: Any) -> TestResponse:
        """Send a form as the button of a page does, and follow where it leads."""
        data = {"csrf_token": self.token(page), **fields}
        return self.post(url, data=data, follow_redirects=True)


def visitor(app: Flask) -> Visitor:
    """Nobody yet."""
    return Visitor(app, app.response_class, use_cookies=True)


def a_user(role: Role = Role.OPERATOR, username: str | None = None) -> str:
    """A user with the test password: his name."""
    name = username or str(role)
    with transaction() as session:
        users.create(session, name, PASSWORD, role=role)
    return name


def sign_in(client: Visitor, username: str, password: str = PASSWORD, **more: str) -> TestResponse:
    """Fill in the sign-in page."""
    data = {"csrf_token": client.token("/sign-in"), "username": username, "password": password}
    return client.post("/sign-in", data={**data, **more})


def signed_in(app: Flask, role: Role = Role.OPERATOR, language: str | None = "en") -> Visitor:
    """A user of that role at the dashboard, reading English unless told otherwise."""
    client = visitor(app)
    answer = sign_in(client, a_user(role))
    assert answer.status_code == 302, answer.text
    if language:
        client.press("/language", language=language)
    return client
