"""The user, with the fields the replaced system had, his role, and what was tried at the door."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base, RowId

NO_PASSWORD = "!"  # noqa: S105  no hash looks like this: nothing opens it


class Role(StrEnum):
    """What somebody may do; the permissions of each are in `accounts.permissions`."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class User(Base):
    """One person who signs in."""

    __tablename__ = "app_user"  # "user" is a reserved word on PostgreSQL

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    username: Mapped[str] = mapped_column(String(150))
    # What it is found by, whatever the case of its letters; SQLite's lower() knows only ASCII.
    username_key: Mapped[str] = mapped_column(String(300), unique=True)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)  # in lower case
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    role: Mapped[str] = mapped_column(String(20), default=Role.VIEWER)
    is_active: Mapped[bool] = mapped_column(default=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    # Somebody else knows it: it was made by a command, or chosen by an administrator.
    password_is_given: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Part of every session: a new one signs the user out everywhere.
    session_key: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid.uuid4()))
    language: Mapped[str | None] = mapped_column(String(5))  # None: as configured
    date_joined: Mapped[datetime] = mapped_column(default=now)
    last_sign_in_at: Mapped[datetime | None]

    def __str__(self) -> str:
        return self.username

    @property
    def is_invited(self) -> bool:
        """Whether he has not chosen his first password yet."""
        return self.password_hash == NO_PASSWORD


class Throttle(Base):
    """How often something was tried in vain, by account, by address, and by both together.

    The key is a hash: people type passwords where names belong.
    """

    __tablename__ = "throttle"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    last_at: Mapped[datetime]
    until: Mapped[datetime | None]  # nothing is tried before
    known_at: Mapped[datetime | None]  # when this account last came in from this address


class SavedView(Base):
    """What somebody looked at in a list, under a name: its search, filters and order."""

    __tablename__ = "saved_view"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    list: Mapped[str] = mapped_column(String(40))  # its place in the panel
    name: Mapped[str] = mapped_column(String(100))
    query: Mapped[str] = mapped_column(Text)  # of the address, without where one had paged to
    shared: Mapped[bool] = mapped_column(default=False)  # everybody sees it
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("app_user.id", ondelete="CASCADE"))
    saved_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        UniqueConstraint("user_id", "list", "name"),
        Index("ix_saved_view_list", "list"),
    )


class DefaultView(Base):
    """What a list shows somebody who comes to it without saying what he wants."""

    __tablename__ = "default_view"

    user_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("app_user.id", ondelete="CASCADE"), primary_key=True
    )
    list: Mapped[str] = mapped_column(String(40), primary_key=True)
    view_id: Mapped[int] = mapped_column(RowId, ForeignKey("saved_view.id", ondelete="CASCADE"))
