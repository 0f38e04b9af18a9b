from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import RequestError, Sentence, read_times_in

plain = st.one_of(st.text(), st.integers(), st.none(), st.booleans())


@given(st.text(), st.dictionaries(st.text(min_size=1), plain))
def test_a_stored_sentence_comes_back_as_it_was(message: str, values: dict[str, object]) -> None:
    sentence = Sentence(message, values)
    assert Sentence.load(sentence.dump()) == sentence


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    inner = Sentence("There is no job %(id)s.", {"id": 7})
    outer = Sentence("Paused by %(by)s.", {"by": inner})
    assert Sentence.load(outer.dump()) == outer
    assert "7" in outer.to("tr")
    assert outer.to("tr") != outer.to("en")


def test_turkish_is_turkish_and_an_unknown_language_is_english() -> None:
    sentence = Sentence("There is no job %(id)s.", {"id": 7})
    assert sentence.to("en") == "There is no job 7." == sentence.to("xx")
    assert sentence.to("tr") == "7 numaralı iş yok."


def test_a_per_cent_sign_without_values_is_only_a_sign() -> None:
    assert str(Sentence("100 % done")) == Sentence("100 % done").to("tr") == "100 % done"


def test_a_time_in_a_sentence_is_kept_as_a_time_and_told_in_the_readers_zone() -> None:
    at = datetime(2025, 5, 5, 21, tzinfo=UTC)
    sentence = Sentence.load(Sentence("%(at)s", {"at": at}).dump())
    assert sentence.values["at"] == at
    read_times_in("Europe/Istanbul")
    assert sentence.to("tr") == "06.05.2025 00:00:00"
    read_times_in("UTC")
    assert str(sentence) == "2025-05-05 21:00:00"


def test_a_refused_request_reads_as_its_sentence() -> None:
    with pytest.raises(RequestError, match="There is no job 3"):
        raise RequestError("There is no job %(id)s.", id=3)


def test_amounts_are_told_as_the_language_writes_them_and_names_as_they_are() -> None:
    sentence = Sentence("%(count)s %(id)s", {"count": 20_000, "id": 20_000})
    assert (sentence.to("tr"), sentence.to("en")) == ("20.000 20000", "20,000 20000")
    assert Sentence.load(sentence.dump()).to("tr") == "20.000 20000"


def test_numbers_have_the_separators_of_the_language() -> None:
    sentence = Sentence("%(requests)s in %(seconds)s s", {"requests": 12_000, "seconds": 3.1})
    assert sentence.to("en") == "12,000 in 3.1 s"
    assert sentence.to("tr") == "12.000 in 3,1 s"
