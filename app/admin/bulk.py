"""Doing one thing to many rows of a list: those that were ticked, or all that the list holds.

"All" is what the search and the filters leave, on every page, never the page one happens to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.model.base import ViewArgs

from app.accounts.permissions import Permission
from app.admin import login
from app.admin.address import Addressed, row_id
from app.admin.language import say
from app.admin.paging import MOST_COUNTED
from app.core.text import N_, RequestError

MOST_AT_ONCE = MOST_COUNTED  # so that the question before it can name the number


@dataclass(frozen=True, slots=True)
class Action:
    """A button of the bar above the list.

    `run` does it to the rows of these ids and says so by itself; where it leads to a page, it
    answers with that. RequestError is told, and nothing is done.
    """

    name: str  # in addresses
    label: Any
    icon: str
    question: Any  # with {count} in it; None where another page asks
    run: Callable[[list[int]], ResponseReturnValue | None]
    permission: Permission = Permission.FETCH
    is_dangerous: bool = False


def known_ids(texts: Sequence[str], none: str) -> list[int]:
    """The numbers of the rows. RequestError says `none` of what is no number a row can have."""
    wrong = [text for text in texts if row_id(text) is None]
    if wrong:
        raise RequestError(none, id=", ".join(wrong)[:100])
    return [int(text) for text in texts]


class WithActions(Addressed):
    """The bar's buttons."""

    actions_on_rows: ClassVar[Sequence[Action]] = ()

    def offered_actions(self) -> list[Action]:
        """What whoever looks at the list may do."""
        return [action for action in self.actions_on_rows if login.may(action.permission)]

    def action_url(self, action: Action, asked: ViewArgs) -> str:
        """Where it is sent: with the list's own arguments, which say what "all" are."""
        return self.get_url(".act", which=action.name, **self.arguments(asked))

    @expose("/act/<which>", methods=("POST",))
    def act(self, which: str) -> ResponseReturnValue:
        """Do it, and come back to the list."""
        action = next((one for one in self.actions_on_rows if one.name == which), None)
        if action is None:
            abort(404)
        login.require(action.permission)
        back = login.own_path(request.form.get("url") or url_for(".index_view"))
        try:
            return action.run(self.chosen()) or redirect(back)
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(back)

    def chosen(self) -> list[int]:
        """The ids the form means. RequestError when there are none, or too many at once."""
        if request.form.get("all"):
            return self._all_matching()
        texts = request.form.getlist("id")
        if not texts:
            raise RequestError(N_("Nothing was selected. Tick some rows first."))
        return known_ids(list(dict.fromkeys(texts)), N_("There is no row %(id)s."))

    def _all_matching(self) -> list[int]:
        asked = self._get_list_extra_args()
        query = self.matching(asked.search, asked.filters).with_entities(self.key)
        ids = [row[0] for row in query.order_by(self.key).limit(MOST_AT_ONCE + 1)]
        if len(ids) > MOST_AT_ONCE:
            sentence = N_("These are more than %(most)s rows. Narrow the list with a filter first.")
            raise RequestError(sentence, most=MOST_AT_ONCE)
        if not ids:
            raise RequestError(N_("Nothing matches any more; nothing was done."))
        return ids
