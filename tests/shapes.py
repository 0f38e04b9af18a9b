"""Answers in the shape of SofaScore, which the sandbox shares, made for tests."""

import json
import re
from typing import Any

from fakes import answer

from app.sources.base import Request


def a_match(number: int, **changes: object) -> dict[str, object]:
    """A row of a SofaScore-shaped list, before kick-off."""
    return {
        "id": number,
        "startTimestamp": 1746450000,
        "status": {"code": 0, "type": "notstarted"},
        "homeTeam": {"id": number * 2, "name": f"Çayırova {number}"},
        "awayTeam": {"id": number * 2 + 1, "name": f"Iğdır {number}"},
        "homeScore": {},
        "awayScore": {},
        "tournament": {"id": 1, "name": "Süper Lig", "category": {"name": "Türkiye"}},
        **changes,
    }


def a_list(*rows: object) -> bytes:
    return json.dumps({"events": list(rows)}).encode()


def an_event(match_id: str, home: int | None = None) -> dict[str, Any]:
    score = {} if home is None else {"current": home, "display": home}
    status = {"code": 100, "type": "finished"} if score else {"code": 0, "type": "notstarted"}
    return {
        "id": int(match_id),
        "startTimestamp": 1746450000,
        "status": status,
        "homeTeam": {"id": 1, "name": "Göztepe"},
        "awayTeam": {"id": 2, "name": "Iğdır"},
        "homeScore": score,
        "awayScore": {**score},
        "tournament": {"id": 1, "name": "Süper Lig", "category": {"name": "Türkiye"}},
    }


def statistics(home: str = "55%") -> dict[str, Any]:
    items = [{"name": "Ball possession", "key": "ballPossession", "home": home, "away": "45%"}]
    return {
        "statistics": [{"period": "ALL", "groups": [{"groupName": "M", "statisticsItems": items}]}]
    }


def lineups() -> dict[str, Any]:
    players = [
        {"player": {"id": n, "name": f"Oyuncu {n}"}, "shirtNumber": n, "substitute": n > 1}
        for n in (1, 2)
    ]
    return {"confirmed": True, "home": {"players": players}, "away": {"players": players}}


def the_api(request: Request, **changes: Any) -> Any:
    """What the sandbox-shaped API answers; `changes` are by "id" or "id/kind"."""
    found = re.search(r"/event/(\d+)(?:/(\w+))?$", request.url)
    assert found, request.url
    match_id, kind = found[1], found[2]
    for name in (f"{match_id}/{kind}", match_id if kind is None else ""):
        if name in changes:
            return changes[name]
    documents = {
        None: {"event": an_event(match_id, home=2)},
        "statistics": statistics(),
        "incidents": {"incidents": [{"incidentType": "goal", "time": 9, "isHome": True}]},
        "lineups": lineups(),
    }
    return answer(json.dumps(documents[kind]))
