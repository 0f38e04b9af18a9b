"""Commands for tests: run in this process, in a chosen language, leaving nothing behind."""

import dataclasses
import gettext
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from click.testing import Result
from flask import Flask

SQLITE_ONLY = "engine", ["sqlite"]  # pytest.mark.parametrize(*SQLITE_ONLY): no SQL of their own


def run(app: Flask, *arguments: object, language: str = "en", typed: str | None = None) -> Result:
    """Run `flask …`; its exit code, stdout and stderr."""
    with speaking(app, language):
        return app.test_cli_runner().invoke(
            args=[str(argument) for argument in arguments], input=typed
        )


def run_json(app: Flask, *arguments: object, exit_code: int = 0) -> Any:
    """What a command prints with --json, and nothing else."""
    result = run(app, *arguments, "--json")
    assert result.exit_code == exit_code, (result.exit_code, result.output, result.exception)
    return json.loads(result.stdout)


@contextmanager
def speaking(app: Flask, language: str) -> Iterator[None]:
    """The app configured for a language; the process's own gettext as it was, afterwards."""
    config, domain, environ = app.config["FIKSTUR"], gettext.textdomain(), dict(os.environ)
    app.config["FIKSTUR"] = dataclasses.replace(config, language=language)
    try:
        yield
    finally:
        app.config["FIKSTUR"] = config
        gettext.textdomain(domain)
        os.environ.pop("LANGUAGE", None)
        os.environ.update(environ)
