"""The links by which a password is set: asking for one, and using it. Nobody is signed in here."""

from flask import current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy.orm import Session

import tasks
from app.accounts import reset as links
from app.accounts.entry import ask_for_reset
from app.accounts.users import address_of
from app.admin.language import current, say
from app.admin.login import account, address, hash_of_both, refused
from app.audit import trail
from app.audit.trail import Actor, Via
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import RequestError
from app.jobs.models import Trigger
from app.jobs.submit import JobRequest
from app.mail.ask import letter_request
from app.mail.letters import Kind


@account.route("/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Ask for a link by mail. The answer, and the time it takes, are the same for any address."""
    if request.method == "GET":
        return render_template("people/forgot.html", sent=None)
    typed, where, language = request.form.get("email", "").strip(), address(), current()

    def make(session: Session) -> JobRequest:
        ask_for_reset(session, to, where)
        return letter_request(session, Kind.RESET, to, language)

    try:
        to = address_of(typed)
        tasks.submit_made(make, by="", trigger=Trigger.PANEL)
    except RequestError as error:
        status, headers = refused(error, 422)
        return render_template("people/forgot.html", sent=None), status, headers
    return render_template("people/forgot.html", sent=to)


@account.route("/reset/<token>", methods=["GET", "POST"])
def reset(token: str) -> ResponseReturnValue:
    """Choose a password by a link. Looking at the page does not use the link up."""
    secret_key = current_app.config["FIKSTUR"].secret_key
    try:
        with reading() as session:
            user = links.owner(session, token, secret_key, now())
    except RequestError as error:
        flash(say(error.sentence), "error")
        return render_template("people/forgot.html", sent=None), 410
    if request.method == "GET":
        return render_template("people/reset.html", user=user)
    try:
        new_hash = hash_of_both(request.form)
        with trail.acting(Actor(user.username, Via.PANEL, address()[:45] or None)):
            persist(lambda s: links.use(s, token, secret_key, new_hash, now()))
    except RequestError as error:
        flash(say(error.sentence), "error")
        return render_template("people/reset.html", user=user), 422
    flash(gettext("Your password is set. Sign in with it."), "success")
    return redirect(url_for("account.sign_in"))
