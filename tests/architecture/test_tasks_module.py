"""tasks.py is one page without decisions; import-linter cannot look into a single file."""

import ast

import pytest

import tasks
from app.cli import HOUSE
from config import SCHEDULES

SOURCE = ast.parse((HOUSE / "tasks.py").read_text("utf-8"))
KINDS = (
    "fetch_day",
    "fetch_range",
    "fetch_details",
    "retry_errors",
    "prune_history",
    "send_mail",
    "drill_chaos",
    "create_backup",
    "verify_backup",
    "drill_backup",
    "preview_backup",
    "restore_backup",
    "undo_restore",
    "prune_backups",
    "copy_backup",
    "receive_backup",
    "fetch_backup",
    "check_offsite",
)


def imported() -> set[str]:
    """Every module tasks.py names."""
    names = set()
    for node in ast.walk(SOURCE):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_tasks_imports_no_edge() -> None:
    ours = {name for name in imported() if name.split(".")[0] == "app"}
    assert {".".join(name.split(".")[:2]) for name in ours} <= {
        "app",
        "app.audit",
        "app.backups",
        "app.core",
        "app.drill",
        "app.fixtures",
        "app.jobs",
        "app.mail",
        "app.monitoring",
        "app.schedules",
        "app.sources",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_job_kind_is_a_huey_task_of_the_same_name(kind: str) -> None:
    assert f"tasks.{kind}" in tasks.huey._registry._registry


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_a_periodic_task(name: str) -> None:
    assert f"tasks.periodic_{name}" in tasks.huey._registry._registry
    assert name in tasks.PERIODIC


def test_a_task_is_at_most_four_statements() -> None:
    for node in SOURCE.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            inner = [n for n in node.body if not isinstance(n, ast.Expr) or not _is_text(n)]
            assert len(inner) <= 4, f"{node.name} has {len(inner)} statements"


def _is_text(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_messages_are_json_with_nothing_but_the_jobs_id() -> None:
    task = tasks.fetch_day.s(42)
    data = tasks.huey.serialize_task(task)
    assert data.startswith(b"{")
    assert b'"args": [42]' in data
    assert tasks.huey.deserialize_task(data).args == [42]


def test_huey_keeps_no_results_and_retries_nothing() -> None:
    assert tasks.huey.results is False
    for name in KINDS:
        assert tasks.huey._registry.string_to_task(f"tasks.{name}").default_retries == 0
