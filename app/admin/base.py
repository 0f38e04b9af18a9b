"""What all views share: permissions, read-only lists, addresses that cannot break them."""

from typing import Any, ClassVar

from flask import abort, flash, request
from flask_admin import BaseView
from flask_admin.contrib.sqla import ModelView
from flask_admin.model.base import ViewArgs
from flask_babel import gettext
from flask_login import current_user
from sqlalchemy import or_
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import login, look, search, security
from app.core.db import Base, db

MOST_ID = 2**63 - 1
MOST_PAGES = 100_000
MOST_WORDS = 8  # of a search


class Guarded:
    """Permission checks of every view. Comes before Flask-Admin's own class."""

    permission = Permission.SEE

    def is_accessible(self) -> bool:
        """Whether whoever asks may see it; also decides whether it stands in the menu."""
        return login.may(self.permission)

    def inaccessible_callback(self, _name: str, **_options: Any) -> Response:
        """Nobody may sign in first; somebody is told that he may not."""
        if current_user.is_authenticated:
            abort(403)
        return security.to_sign_in()

    def _run_view(self, view: Any, *args: Any, **options: Any) -> Any:
        # Flask-Admin's own catches TypeError and calls the view a second time with other arguments:
        # a mistake in a view would be hidden, and its effect could happen twice.
        return view(self, *args, **options)


class PanelView(Guarded, BaseView):
    """A page of our own."""


class ListView(Guarded, ModelView):
    """A read-only list of a table, with search, filters, sorting and a page for each row."""

    list_template = "panel/list.html"
    details_template = "panel/details.html"
    can_create = can_edit = can_delete = False
    can_view_details = True
    # Not even addressable: what is not there needs no guard.
    create_view = edit_view = delete_view = action_view = None
    ajax_update = ajax_lookup = export = None

    model_class: ClassVar[type[Base]]
    label: ClassVar[Any]
    place: ClassVar[str]  # in addresses
    intro: ClassVar[Any] = None  # one sentence above the list
    empty: ClassVar[Any] = None  # what to do when there is nothing
    kept_args: ClassVar[tuple[str, ...]] = ()  # addressed options of the list beside Flask-Admin's
    fold_search = True
    show_empty = True  # on the page of a row: also what has no value

    simple_list_pager = True  # counting a million rows takes longer than showing fifty
    page_size = 50
    can_set_page_size = True
    page_size_options = (20, 50, 100, 200)
    column_display_pk = False
    column_type_formatters = look.TYPES
    column_type_formatters_detail = look.TYPES

    def __init__(self) -> None:
        super().__init__(self.model_class, db, name=self.label, endpoint=self.place, url=self.place)

    def get_one(self, id: Any) -> Any:  # noqa: A002  Flask-Admin's name
        """The row of that id; None when there is none or the id is nonsense."""
        number = str(id)
        if not (number.isascii() and number.isdigit() and int(number) <= MOST_ID):
            return None
        return self.get_query().filter(self.model.id == int(number)).one_or_none()

    def get_empty_list_message(self) -> str:
        """Different when it is the filters that hide everything."""
        if request.args:
            return gettext("Nothing matches. Change the search or the filters.")
        return str(self.empty or gettext("There is nothing here yet."))

    # --- addresses: whatever stands in them, the answer is a page ---

    def _get_list_extra_args(self) -> ViewArgs:
        wanted = super()._get_list_extra_args()
        wanted.page = min(max(wanted.page, 0), MOST_PAGES)
        wanted.search = (wanted.search or "").replace("\0", "").strip() or None
        # Flask-Admin keeps any argument and hands it to url_for, where some have a meaning.
        wanted.extra_args = {
            name: request.args[name] for name in self.kept_args if name in request.args
        }
        return wanted

    def _get_list_filter_args(self) -> list[tuple[int, Any, str]]:
        found = []
        for index, wanted in enumerate(self._filters or []):
            value = request.args.get(self.filter_arg(index), "").strip()
            if value and wanted.validate(value):
                found.append((index, wanted.name, value))
            elif value:
                flash(
                    gettext("“%(value)s” cannot be filtered for; left out.", value=value), "error"
                )
        return found

    def _get_filters(self, filters: Any) -> dict[str, str]:
        return {self.filter_arg(index): value for index, _name, value in filters or ()}

    @staticmethod
    def filter_arg(index: int) -> str:
        """A filter's name in addresses."""
        return f"flt{index}"

    def filter_url(self, **more: str) -> str:
        """The list with some filters set: by the name of their columns."""
        index = {f.column.key: self.filter_arg(i) for i, f in enumerate(self._filters or [])}
        return self.get_url(".index_view", **{index.get(k, k): v for k, v in more.items()})

    # --- search ---

    def _apply_search(
        self, query: Any, count_query: Any, joins: Any, count_joins: Any, wanted: str
    ) -> tuple[Any, Any, Any, Any]:
        for term in wanted.split()[:MOST_WORDS]:
            found = self.search_condition(term)
            query = query.filter(found)
            count_query = None if count_query is None else count_query.filter(found)
        return query, count_query, joins, count_joins

    def search_condition(self, term: str) -> Any:
        """Whether a row has the word in any of its searched columns."""
        columns = [column for column, _path in self._search_fields or []]
        if self.fold_search:
            return or_(*(search.contains(column, term) for column in columns))
        return or_(*(column.contains(term, autoescape=True) for column in columns))
