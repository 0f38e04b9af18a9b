"""What is left to do after the first start. Reads only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.backups.models import BackupSchedule
from app.core.text import N_
from app.fixtures.models import FixtureDay
from app.mail.letters import Kind
from app.mail.models import Mail
from app.sources.registry import source_table

if TYPE_CHECKING:
    from config import Config


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: an English name for programs, a message for people, and the page."""

    name: str
    done: bool
    text: str
    page: str  # an endpoint
    part: str | None = None  # of that page


def steps(session: Session, user: User, config: "Config", *, chosen: bool) -> list[Step]:
    """All of them in their order; `chosen`: somebody said which sources are on."""
    real = [name for name in source_table(config).usable() if name != "sandbox"]
    tested = exists().where(Mail.kind == Kind.TEST, Mail.sent_at.is_not(None))
    scheduled = exists().where(BackupSchedule.enabled)
    fetched = exists().where(FixtureDay.fetched_at.is_not(None))
    return [
        Step(
            "password",
            not user.password_is_given,
            N_("Change the password that was made for you"),
            "account.password",
        ),
        Step(
            "source",
            chosen or bool(real),
            N_("Choose which sources are asked"),
            "settings.index",
            "asking",
        ),
        Step(
            "mail",
            bool(session.scalar(select(tested))),
            N_("Set up mail and send yourself a test"),
            "settings.index",
            "mail",
        ),
        Step(
            "backup",
            bool(session.scalar(select(scheduled))),
            N_("Let backups be made by themselves"),
            "backups.index",
        ),
        Step(
            "fetch",
            bool(session.scalar(select(fetched))),
            N_("Fetch a day for the first time"),
            "fetch.day",
        ),
    ]
