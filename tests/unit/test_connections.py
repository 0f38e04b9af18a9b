"""Where the connections to a server are kept: found again, and never a pool that was closed."""

import pytest

from app.sources.http import HOSTS, _Kept, _parts, _session


@pytest.mark.parametrize(
    ("url", "server", "path"),
    [
        ("http://a:1/x/y?z=1", "http://a:1", "/x/y?z=1"),
        ("https://a", "https://a", "/"),
        ("HTTPS://A?z=1", "HTTPS://A", "/?z=1"),
        ("http://a/x#part", "http://a", "/x"),
    ],
)
def test_an_address_is_a_server_and_what_is_asked_there(url: str, server: str, path: str) -> None:
    assert _parts(url) == (server, path)


@pytest.mark.parametrize("url", ["", "a/b", "ftp://a/b", "http:///x", "file:///etc/passwd"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a web address"):
        _parts(url)


def test_a_server_has_its_connections_together_and_others_have_their_own() -> None:
    kept = _Kept(_session("test"))
    assert kept.connections("http://a:1") is kept.connections("http://a:1")
    assert kept.connections("http://a:1") is not kept.connections("http://a:2")
    assert kept.connections("https://a:1") is not kept.connections("http://a:1")


def test_of_more_servers_than_are_kept_none_is_given_closed_connections() -> None:
    kept = _Kept(_session("test"))
    for number in [*range(HOSTS + 3), *range(HOSTS + 3), 5, 0, HOSTS + 4, 5]:
        assert kept.connections(f"http://h{number}:1").pool is not None
