"""The addresses of the browser's files, and the icons among them."""

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, current_app, url_for
from markupsafe import Markup


def init_app(app: Flask) -> None:
    """Hand the templates what is here."""
    app.jinja_env.globals.update(asset=asset, icon=icon)


def icon(name: str) -> Markup:
    """A sign beside a word; screen readers do not read it."""
    shape = f"{asset('vendor/icons.svg')}#{name}"
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>').format(shape)


def asset(name: str) -> str:
    """The address of a file of ours; changes with its contents, so that browsers may keep it."""
    path = Path(current_app.static_folder or "") / name
    return url_for("static", filename=name, v=_version(path, path.stat().st_mtime_ns))


@lru_cache
def _version(path: Path, _changed_at: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
