"""The menu of saved views above a list: open, save, rename, share, delete, see first."""

from collections.abc import Callable
from typing import Any

from flask import flash, g, redirect, request
from flask_admin import expose
from flask_babel import gettext
from werkzeug.wrappers import Response

from app.accounts import views
from app.accounts.models import SavedView
from app.admin import login
from app.admin.address import VIEW, Addressed
from app.admin.language import say
from app.core.db import persist, reading
from app.core.text import RequestError

_ID = "<int:view_id>"


class WithViews(Addressed):
    """What a list knows of its saved views."""

    def default_url(self) -> str | None:
        """Where somebody who says nothing else is led: to the view he chose to see first."""
        if request.args:
            return None
        with reading() as session:
            view = views.first_seen(session, login.me(), self.place)
        return None if view is None else self.kept_url(view.id, view.query)

    def saved_views(self) -> list[SavedView]:
        """Those he may open, by name."""
        if "saved_views" not in g:
            with reading() as session:
                g.saved_views = list(views.visible(session, login.me(), self.place))
                first = views.first_seen(session, login.me(), self.place)
                g.first_view = first.id if first else None
        return g.saved_views

    def first_view(self) -> int | None:
        """The id of the one he sees first."""
        self.saved_views()
        return g.first_view

    def open_view(self) -> SavedView | None:
        """The one he came by, whatever he has changed since."""
        wanted = request.args.get(VIEW, "")
        return next((view for view in self.saved_views() if str(view.id) == wanted), None)

    def view_url(self, view: SavedView) -> str:
        """Where it leads."""
        return self.kept_url(view.id, view.query)

    def may_change_view(self, view: SavedView) -> bool:
        """Whether to show what changes it."""
        return views.may_change(login.me(), view)

    @expose("/views", methods=("POST",))
    def save_view(self) -> Response:
        """Keep what one sees; the arguments of the address say what that is."""
        form = request.form
        query = self.as_kept(self._get_list_extra_args())

        def save(session: Any) -> SavedView:
            name, shared = form.get("name", ""), bool(form.get("shared"))
            view = views.save(session, login.me(), self.place, name, query, shared=shared)
            if form.get("first"):
                views.see_first(session, login.me(), view.id, wanted=True)
            return view

        return self._do(
            save, lambda view: gettext("The view “%(name)s” was saved.", name=view.name)
        )

    @expose(f"/views/{_ID}", methods=("POST",))
    def change_view(self, view_id: int) -> Response:
        """Rename it, share it or keep it to oneself."""
        name, shared = request.form.get("name", ""), bool(request.form.get("shared"))
        return self._do(
            lambda session: views.change(session, login.me(), view_id, name=name, shared=shared),
            lambda view: gettext("The view “%(name)s” was changed.", name=view.name),
        )

    @expose(f"/views/{_ID}/first", methods=("POST",))
    def see_view_first(self, view_id: int) -> Response:
        """See it first from now on, or no longer."""
        wanted = bool(request.form.get("first"))
        return self._do(
            lambda session: views.see_first(session, login.me(), view_id, wanted=wanted),
            lambda view: (
                gettext("This list now begins with “%(name)s”.", name=view.name)
                if wanted
                else gettext("This list begins with everything again.")
            ),
        )

    @expose(f"/views/{_ID}/delete", methods=("POST",))
    def forget_view(self, view_id: int) -> Response:
        """For good."""
        return self._do(
            lambda session: views.delete(session, login.me(), view_id),
            lambda view: gettext("The view “%(name)s” was deleted.", name=view.name),
            gone=True,
        )

    def _do(
        self,
        work: Callable[[Any], SavedView],
        said: Callable[[SavedView], str],
        *,
        gone: bool = False,
    ) -> Response:
        back = login.own_path(request.form.get("url") or self.get_url(".index_view"))
        try:
            view = persist(work)
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(back)
        flash(said(view), "success")
        everything = self.get_url(".index_view", **{VIEW: 0})
        return redirect(everything if gone else self.view_url(view))
