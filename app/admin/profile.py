"""One's own account: name and address, and the end of all one's sessions."""

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import logout_user

from app.accounts import entry, people
from app.admin.login import account, address, me, refused
from app.core.db import persist
from app.core.text import RequestError


@account.route("/profile", methods=["GET", "POST"])
def profile() -> ResponseReturnValue:
    """Names and address. Another address needs the password: links for a new one go there."""
    user = me()
    if request.method == "GET":
        return render_template("people/profile.html", form=_form_of(user))
    form = {name: request.form.get(name, "").strip() for name in entry.OWN}
    try:
        entry.change_own(user, form, request.form.get("current", ""), address())
    except RequestError as error:
        status, headers = refused(error, 422)
        return render_template("people/profile.html", form=form), status, headers
    flash(gettext("Your profile was changed."), "success")
    return redirect(url_for("account.profile"))


def _form_of(user: object) -> dict[str, str]:
    return {name: getattr(user, name) or "" for name in entry.OWN}


@account.post("/sign-out-everywhere")
def sign_out_everywhere() -> ResponseReturnValue:
    """End all one's sessions, this one too."""
    user_id = me().id
    persist(lambda s: people.sign_out_everywhere(s, user_id))
    logout_user()
    session.clear()
    flash(gettext("Every session of yours has ended."), "success")
    return redirect(url_for("account.sign_in"))
