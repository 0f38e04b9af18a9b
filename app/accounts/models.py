"""The user, with the fields the replaced system had, and his role."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base


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
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    role: Mapped[str] = mapped_column(String(20), default=Role.VIEWER)
    is_active: Mapped[bool] = mapped_column(default=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    # Part of every session: a new one signs the user out everywhere.
    session_key: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid.uuid4()))
    language: Mapped[str | None] = mapped_column(String(5))  # None: as configured
    date_joined: Mapped[datetime] = mapped_column(default=now)
    last_sign_in_at: Mapped[datetime | None]

    def __str__(self) -> str:
        return self.username
