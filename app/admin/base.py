"""What all views share: permissions, and lists of a table that stay fast at a million rows."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from flask import abort, flash, g, redirect, request
from flask_admin import BaseView, expose
from flask_admin.model.base import ViewArgs
from flask_babel import gettext
from flask_login import current_user
from sqlalchemy import and_, or_
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import address, login, look, paging, search, security
from app.admin.bulk import WithActions
from app.admin.rows import AsFile
from app.admin.views import WithViews
from app.core.db import Base, db

MOST_ID = address.MOST_ID
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


class ListView(Guarded, WithViews, WithActions, AsFile):
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
    fold_search = True
    show_empty = True  # on the page of a row: also what has no value

    page_size = 50
    can_set_page_size = True
    page_size_options = (25, 50, 100, 200)
    column_display_pk = False
    column_type_formatters = look.TYPES
    column_type_formatters_detail = look.TYPES

    def __init__(self) -> None:
        super().__init__(self.model_class, db, name=self.label, endpoint=self.place, url=self.place)

    @property
    def key(self) -> Any:
        """The column that tells two rows apart."""
        return getattr(self.model, self._primary_key)

    def get_one(self, id: Any) -> Any:  # noqa: A002  Flask-Admin's name
        """The row of that id; None when there is none or the id is nonsense."""
        number = address.row_id(str(id))
        if number is None:
            return None
        return self.get_query().filter(self.model.id == number).one_or_none()

    def get_empty_list_message(self) -> str:
        """Different when it is the filters that hide everything."""
        if request.args:
            return gettext("Nothing matches. Change the search or the filters.")
        return str(self.empty or gettext("There is nothing here yet."))

    # --- the page ---

    @expose("/")
    def index_view(self) -> Any:
        """The page of the list that the address asks for."""
        if (url := self.default_url()) is not None:
            return redirect(url)
        asked = self._get_list_extra_args()
        self.keep_page_size(asked)
        return self.render(self.list_template, **self.shown_page(asked))

    def shown_page(self, asked: ViewArgs) -> dict[str, Any]:
        """What the template of a list is told."""
        size = self.get_safe_page_size(asked.page_size)
        column = self._get_column_by_idx(asked.sort)
        sorted_by = column[0] if column else None
        count, rows = self.get_list(
            0, sorted_by, asked.sort_desc, asked.search, asked.filters, page_size=size
        )
        page: paging.Page = g.list_page
        return {
            **self._of_the_address(asked, size),
            "data": rows,
            "count": count,
            "total": g.list_total,
            "before_url": self._place_url(asked, page.before),
            "after_url": self._place_url(asked, page.after),
            "list_columns": self._list_columns,
            "get_pk_value": self.get_pk_value,
            "get_value": self.get_list_value,
        }

    def _of_the_address(self, asked: ViewArgs, size: int) -> dict[str, Any]:
        return {
            "asked": asked,
            "search": asked.search,
            "search_supported": self._search_supported,
            "search_placeholder": self.search_placeholder(),
            "filters": self._filters,
            "active_filters": asked.filters,
            "extra_args": asked.extra_args,
            "sort_column": asked.sort,
            "sort_desc": asked.sort_desc,
            "sort_url": lambda at, desc=False: self._get_list_url(
                asked.clone(sort=at, sort_desc=desc)
            ),
            "page_size": size,
            "page_size_url": lambda rows: self.get_url(
                ".index_view", **self.arguments(asked), page_size=rows
            ),
            "clear_search_url": self._get_list_url(asked.clone(search=None, filters=None)),
            "first_url": self._get_list_url(asked),
            "last_url": self._place_url(asked, {paging.LAST: "1"}),
            "return_url": self.here(asked),
        }

    def _place_url(self, asked: ViewArgs, place: Any) -> str | None:
        if place is None:
            return None
        return self.get_url(".index_view", **self.arguments(asked), **place)

    def get_list(
        self,
        _page: int | None,
        sort_column: str | None,
        sort_desc: bool,  # noqa: FBT001  Flask-Admin's own
        search: str | None,
        filters: Any,
        page_size: int | None = None,
    ) -> tuple[int | None, Sequence[Any]]:
        """How many there are, if that is known, and the rows of the page; see `g.list_page`."""
        query = self.matching(search, filters)
        order = self.order(sort_column, sort_desc)
        size = page_size or self.page_size
        try:
            page = paging.page(query, order, request.args, size)
        except paging.NoSuchPlaceError:
            flash(gettext("That place of the list is not known; this is its beginning."), "error")
            page = paging.page(query, order, {}, size)
        g.list_page, g.list_total = page, paging.total(query, self.key)
        return g.list_total.count, page.rows

    def matching(self, search: str | None, filters: Any) -> Any:
        """The rows that the search and the filters leave, all pages of them, in no order."""
        query = self.get_query()
        if search and self._search_supported:
            query, *_rest = self._apply_search(query, query, {}, {}, search)
        if filters:
            query, *_rest = self._apply_filters(query, None, {}, {}, filters)
        return query

    def order(self, sort_column: str | None, sort_desc: bool) -> list[paging.Sort]:  # noqa: FBT001
        """The order of the list; the key is always the last word, the way the first one goes."""
        sorts = list(self._asked_order(sort_column, sort_desc)) or list(self._usual_order())
        down = sorts[0].down if sorts else False
        others = [sort for sort in sorts if sort.column.key != self._primary_key]
        return [*others, paging.Sort.by(self.key, down=down)]

    def _asked_order(
        self,
        sort_column: str | None,
        sort_desc: bool,  # noqa: FBT001
    ) -> Iterator[paging.Sort]:
        if sort_column in self._sortable_columns:
            yield paging.Sort.by(self._sortable_columns[sort_column], down=sort_desc)

    def _usual_order(self) -> Iterator[paging.Sort]:
        for column, _joins, down in self._get_default_order():
            yield paging.Sort.by(column, down=bool(down))

    # --- search ---

    def _apply_search(
        self, query: Any, count_query: Any, joins: Any, count_joins: Any, wanted: str
    ) -> tuple[Any, Any, Any, Any]:
        if words := wanted.split()[:MOST_WORDS]:
            found = self.search_condition(words)
            query = query.filter(found)
            count_query = None if count_query is None else count_query.filter(found)
        return query, count_query, joins, count_joins

    def search_condition(self, words: Sequence[str]) -> Any:
        """Whether a row has each word in one of its searched columns."""
        columns = [column for column, _path in self._search_fields or []]
        if self.fold_search:
            return search.found(self.get_query().session, columns, words)
        some = (or_(*(c.contains(word, autoescape=True) for c in columns)) for word in words)
        return and_(*some)
