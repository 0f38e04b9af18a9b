"""Real processes: an invitation leaves by a worker, and a worker follows what is set."""

import email
import email.policy
from pathlib import Path

from stage import Stage, stage, wait_until


def letters(at: Stage) -> list[Path]:
    return sorted(Path(at.environ["DATA_DIR"], "mail").glob("*.eml"))


def test_a_worker_sends_an_invitation_and_follows_the_settings(
    tmp_path: Path, stack: dict[str, str]
) -> None:
    with stage(tmp_path, **stack) as at:
        assert at.flask("setup").returncode == 0
        at.start("-m", "flask", "--app", "wsgi", "worker", name="worker")
        invited = at.json("users", "invite", "ayse", "--email", "a@example.com", "--role", "viewer")
        wait_until(lambda: at.json("jobs", "show", str(invited["job"]))["state"] == "DONE", 60)
        (first,) = letters(at)
        assert "http://127.0.0.1:8000/reset/" in first.read_text()

        changed = at.json("settings", "set", "PUBLIC_URL", "https://panel.example.com")
        assert changed["changed"] is True
        assert at.json("settings", "set", "MAIL_FROM", "Desk <desk@example.com>")["changed"]

        def sent_by_the_new_settings() -> bool:
            asked = at.json("users", "send-link", "ayse")["job"]
            wait_until(lambda: at.json("jobs", "show", str(asked))["state"] == "DONE", 60)
            newest = max(letters(at), key=lambda path: path.stat().st_mtime_ns)
            letter = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
            plain = letter.get_body(("plain",)).get_content()
            return letter["From"] == "Desk <desk@example.com>" and "https://panel.example" in plain

        wait_until(sent_by_the_new_settings, 60)
        noted = {entry["action"] for entry in at.json("audit", "list")}
        assert {"user.create", "user.invite", "user.reset", "job.submit", "setting.set"} <= noted
        logs = "".join(path.read_text(errors="replace") for path in at.logs.glob("*.log"))
        assert "/reset/" not in logs
        assert "Traceback" not in logs
