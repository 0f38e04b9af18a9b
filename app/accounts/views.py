"""Saved views of lists: everybody has his own, may share them, and chooses what he sees first."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.accounts.models import DefaultView, SavedView, User
from app.accounts.permissions import Permission, may
from app.audit.trail import note
from app.core.clock import now
from app.core.text import N_, RequestError

LONGEST_NAME = 100
LONGEST_QUERY = 2000
MOST_VIEWS = 50  # of one person in one list


def visible(session: Session, user: User, place: str) -> Sequence[SavedView]:
    """His own and the shared ones of a list, by name."""
    mine_or_shared = or_(SavedView.user_id == user.id, SavedView.shared)
    found = select(SavedView).where(SavedView.list == place, mine_or_shared)
    return session.scalars(found.order_by(SavedView.name, SavedView.id)).all()


def may_change(user: User, view: SavedView) -> bool:
    """Its maker may, and of a shared one whoever looks after shared views."""
    return view.user_id == user.id or (view.shared and may(user, Permission.MANAGE_VIEWS))


def first_seen(session: Session, user: User, place: str) -> SavedView | None:
    """The view he chose to see first, as long as he may see it."""
    found = (
        select(SavedView)
        .join(DefaultView, DefaultView.view_id == SavedView.id)
        .where(DefaultView.user_id == user.id, DefaultView.list == place)
        .where(or_(SavedView.user_id == user.id, SavedView.shared))
    )
    return session.scalar(found)


def save(
    session: Session, user: User, place: str, name: str, query: str, *, shared: bool
) -> SavedView:
    """Keep what he looks at under a name; his view of that name becomes this one."""
    name = _named(name)
    _may_share(user, shared=shared)
    if len(query) > LONGEST_QUERY:
        raise RequestError(N_("This view is too long to be kept. Use fewer filters."))
    view = _of_that_name(session, user.id, place, name)
    before = None if view is None else facts(view)
    if view is None:
        _room_for_one_more(session, user, place)
        view = SavedView(list=place, name=name, user_id=user.id)
        session.add(view)
    view.query, view.shared, view.saved_at = query, shared, now()
    session.flush()
    note(session, "view.save", ("view", view.name), before=before, after=facts(view))
    return view


def change(session: Session, user: User, view_id: int, *, name: str, shared: bool) -> SavedView:
    """Another name, or shared with everybody, or no longer."""
    view, name = _his(session, user, view_id), _named(name)
    if shared != view.shared:
        _may_share(user, shared=shared)
    other = _of_that_name(session, view.user_id, view.list, name)
    if other is not None and other.id != view.id:
        raise RequestError(
            N_("There is a view “%(name)s” already. Choose another name."), name=name
        )
    before = facts(view)
    view.name, view.shared = name, shared
    session.flush()
    note(session, "view.change", ("view", before["name"]), before=before, after=facts(view))
    return view


def delete(session: Session, user: User, view_id: int) -> SavedView:
    """For good. Whoever saw it first sees the whole list again."""
    view = _his(session, user, view_id)
    note(session, "view.delete", ("view", view.name), before=facts(view))
    session.delete(view)
    return view


def see_first(session: Session, user: User, view_id: int, *, wanted: bool) -> SavedView:
    """Make it what he sees first in its list, or see the whole list first again."""
    view = session.get(SavedView, view_id)
    if view is None or not (view.shared or view.user_id == user.id):
        raise _none(view_id)
    chosen = session.get(DefaultView, (user.id, view.list))
    if chosen is not None and (wanted or chosen.view_id == view.id):
        session.delete(chosen)
        session.flush()
    if wanted:
        session.add(DefaultView(user_id=user.id, list=view.list, view_id=view.id))
    return view


def facts(view: SavedView) -> dict[str, object]:
    """What the audit log keeps of it."""
    return {"list": view.list, "name": view.name, "query": view.query, "shared": view.shared}


def _his(session: Session, user: User, view_id: int) -> SavedView:
    view = session.get(SavedView, view_id)
    if view is None or not (view.shared or view.user_id == user.id):
        raise _none(view_id)
    if not may_change(user, view):
        raise RequestError(
            N_("“%(name)s” belongs to somebody else; save it under a name of your own."),
            name=view.name,
        )
    return view


def _none(view_id: int) -> RequestError:
    return RequestError(N_("There is no view %(id)s."), id=view_id)


def _named(name: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not name:
        raise RequestError(N_("Give the view a name."))
    if len(name) > LONGEST_NAME:
        raise RequestError(
            N_("The name of a view has at most %(most)s characters."), most=LONGEST_NAME
        )
    return name


def _may_share(user: User, *, shared: bool) -> None:
    if shared and not may(user, Permission.SHARE_VIEWS):
        raise RequestError(N_("You may keep views for yourself, not share them."))


def _of_that_name(session: Session, user_id: str, place: str, name: str) -> SavedView | None:
    same = SavedView.user_id == user_id, SavedView.list == place, SavedView.name == name
    return session.scalar(select(SavedView).where(*same))


def _room_for_one_more(session: Session, user: User, place: str) -> None:
    his = select(SavedView.id).where(SavedView.user_id == user.id, SavedView.list == place)
    if len(session.scalars(his.limit(MOST_VIEWS)).all()) >= MOST_VIEWS:
        raise RequestError(
            N_("You have %(most)s views of this list. Delete one first."), most=MOST_VIEWS
        )
