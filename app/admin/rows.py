"""What a list shows as a file: its columns, its search, filters and order, all pages of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

from flask import abort
from flask_admin import expose
from flask_admin.model.base import ViewArgs
from markupsafe import Markup
from sqlalchemy import inspect
from werkzeug.wrappers import Response

from app.admin import export, paging
from app.admin.address import Addressed

AT_A_TIME = 1000  # rows in memory
MOST_EXPORTED = 100_000


class AsFile(Addressed):
    """Writes the rows of a list."""

    most_exported = MOST_EXPORTED
    # What a cell of the file holds where it is neither the column's value nor the words shown.
    plain: ClassVar[Mapping[str, Callable[[Any], export.Value]]] = {}

    @expose('/rows.<any("xlsx", "csv"):form>')
    def as_file(self, form: str) -> Response:
        """The list of that address as a file, from its beginning."""
        asked = self._get_list_extra_args()
        header = [str(label) for _name, label in self._list_columns]
        return export.download(self.place, form, header, self._lines(asked), str(self.label))

    def file_url(self, asked: ViewArgs, form: str) -> str:
        """Where what one sees can be had as a file."""
        if form not in export.FORMATS:
            abort(404)
        return self.get_url(".as_file", form=form, **self.arguments(asked))

    def _lines(self, asked: ViewArgs) -> Iterator[Sequence[export.Value]]:
        """A chunk at a time, each in a transaction of its own; the key says where to go on."""
        column = self._get_column_by_idx(asked.sort)
        order = self.order(column[0] if column else None, asked.sort_desc)
        place: Mapping[str, str] | None = {}
        left = self.most_exported
        while place is not None and left:
            query = self.matching(asked.search, asked.filters)
            page = paging.page(query, order, place, min(AT_A_TIME, left))
            lines = [self._line(row) for row in page.rows]
            query.session.expunge_all()
            query.session.rollback()
            yield from lines
            left, place = left - len(lines), page.after

    def _line(self, row: Any) -> Sequence[export.Value]:
        return [self._cell(row, name) for name, _label in self._list_columns]

    def _cell(self, row: Any, name: str) -> export.Value:
        """Numbers and times as they are, everything else in the words of the page."""
        if name in self.plain:
            return self.plain[name](row)
        if name in inspect(self.model).columns:
            value = getattr(row, name)
            if value is None or (
                isinstance(value, int | float | date) and not isinstance(value, bool)
            ):
                return value  # datetime is a date
        shown = self.get_list_value(None, row, name)
        return shown.striptags() if isinstance(shown, Markup) else str(shown)
