"""What the address of a list asks for, and the addresses that lead on from it.

Whatever stands in an address, the answer is a page; what makes no sense is left out, and said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from flask import flash, request, session
from flask_admin.contrib.sqla import ModelView
from flask_admin.model.base import ViewArgs
from flask_babel import gettext

from app.admin import paging

VIEW = "view"  # the saved view one came by; 0: deliberately none
_SIZE = "rows_per_page"  # in the session: kept from list to list
MOST_LETTERS = 500  # of one value in an address
MOST_ID = 2**63 - 1


def row_id(text: str) -> int | None:
    """The number of a row; None when it is no number a row can have."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MOST_ID
    return int(text) if is_number else None


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter in words, and the list without it."""

    name: str
    value: str
    url: str


class Addressed(ModelView):
    """Reads addresses and writes them."""

    kept_args: ClassVar[tuple[str, ...]] = ()  # addressed options of the list beside Flask-Admin's

    def _get_list_extra_args(self) -> ViewArgs:
        args = request.args
        return ViewArgs(
            page_size=args.get("page_size", 0, type=int),
            sort=args.get("sort", None, type=int),
            sort_desc=args.get("desc", None, type=int),
            search=args.get("search", "").replace("\0", "").strip()[:MOST_LETTERS] or None,
            filters=self._get_list_filter_args(),
            # Only what we know: it is handed to url_for, where some arguments have a meaning.
            extra_args={name: args[name] for name in (*self.kept_args, VIEW) if name in args},
        )

    def _get_list_filter_args(self) -> list[tuple[int, Any, str]]:
        found = []
        for index, wanted in enumerate(self._filters or []):
            value = request.args.get(self.filter_arg(index), "").strip()[:MOST_LETTERS]
            if value and wanted.validate(value):
                found.append((index, wanted.name, value))
            elif value:
                told = {"value": value, "name": wanted.name}
                flash(
                    gettext("“%(value)s” is nothing to filter %(name)s by; left out.", **told),
                    "error",
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

    def get_safe_page_size(self, page_size: int | None) -> int:
        """One of those offered; without a word the one chosen last, in whichever list."""
        offered: tuple[int, ...] = self.page_size_options
        wanted = (page_size, session.get(_SIZE), self.page_size)
        return next(size for size in wanted if size in offered)

    def keep_page_size(self, asked: ViewArgs) -> None:
        """Remember what was chosen for the next list."""
        if asked.page_size in self.page_size_options and session.get(_SIZE) != asked.page_size:
            session[_SIZE] = asked.page_size

    # --- addresses that lead on ---

    def arguments(self, asked: ViewArgs) -> dict[str, Any]:
        """Everything that makes up what one sees, without where one has paged to."""
        wanted = {
            **asked.extra_args,
            "search": asked.search,
            "sort": asked.sort,
            "desc": 1 if asked.sort_desc else None,
            **self._get_filters(asked.filters),
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _get_list_url(self, view_args: ViewArgs) -> str:
        return self.get_url(".index_view", **self.arguments(view_args))

    def here(self, asked: ViewArgs) -> str:
        """The address of the page one is on, to come back to."""
        place = {name: request.args[name] for name in paging.ADDRESSED if name in request.args}
        return self.get_url(".index_view", **{**self.arguments(asked), **place})

    def chips(self, asked: ViewArgs) -> Iterator[Chip]:
        """The search and the active filters, each with the list without it."""
        if asked.search:
            url = self._get_list_url(asked.clone(search=None))
            yield Chip(gettext("Search"), asked.search, url)
        for one in asked.filters or ():
            index, name, value = one
            left = [other for other in asked.filters if other != one]
            url = self._get_list_url(asked.clone(filters=left))
            yield Chip(str(name), self._filters[index].told(value), url)

    # --- what a saved view keeps: names, because places move from version to version ---

    def as_kept(self, asked: ViewArgs) -> str:
        """The list one sees as the text of a saved view."""
        named = {f"flt_{self._filters[i].slug}": value for i, _name, value in asked.filters or ()}
        column = self._get_column_by_idx(asked.sort)
        kept = {
            **{name: value for name, value in asked.extra_args.items() if name != VIEW},
            "search": asked.search,
            "sort": column[0] if column else None,
            "desc": 1 if column and asked.sort_desc else None,
            **named,
        }
        return urlencode({name: value for name, value in kept.items() if value is not None})

    def kept_url(self, view_id: int, kept: str) -> str:
        """The address a saved view leads to; what the list does not know any more is left out."""
        return self.get_url(".index_view", **{VIEW: view_id, **self._known(dict(parse_qsl(kept)))})

    def _known(self, kept: Mapping[str, str]) -> dict[str, Any]:
        names = {f"flt_{f.slug}": self.filter_arg(i) for i, f in enumerate(self._filters or [])}
        names |= {name: name for name in ("search", "desc", *self.kept_args)}
        found: dict[str, Any] = {names[key]: value for key, value in kept.items() if key in names}
        columns = [name for name, _label in self._list_columns]
        if kept.get("sort") in columns:
            found["sort"] = columns.index(kept["sort"])
        return found
