"""The built-in pretend API: it speaks SofaScore's shape, needs no permission and no key."""

from app.core.text import N_
from app.sources.sofascore import SofaScore


class Sandbox(SofaScore):
    """Our own football, for the first run, the tests and the drills."""

    name = "sandbox"
    title = "Sandbox"
    licence_note = N_("Invented matches, made by Fikstür itself; free of any claim.")
    needs_permission = False
    default_base_url = "http://127.0.0.1:8899"
    single_row_means_no_data = False
