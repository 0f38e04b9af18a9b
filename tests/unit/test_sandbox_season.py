import json
from datetime import UTC, date, datetime, timedelta

import pytest

from app.sandbox import answers, details, season
from app.sandbox.faults import KNOWN_KEYS, FaultPlan, PlanError, Rule, demo_rule, parse_plan
from app.sandbox.names import COMPETITIONS, Kind, slug
from app.sandbox.play import AWAY, HOME, Fate
from app.sandbox.season import CATALOGUE_FIRST_ID, CATALOGUE_SIZE, Match

SEED = 1
MONDAY = date(2026, 11, 16)
WEEK = [MONDAY + timedelta(days=n) for n in range(7)]
CATALOGUE = range(CATALOGUE_FIRST_ID, CATALOGUE_FIRST_ID + CATALOGUE_SIZE)


def at(day: date, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC).timestamp())


def after(day: date) -> int:
    """The first second at which the day is past."""
    return at(day) + 86400


def written(day: date, now: int, seed: int = SEED) -> bytes:
    return answers.encode(answers.day_list(season.listed_on(seed, day), now))


def matches(days: int = 70) -> list[Match]:
    first = MONDAY - timedelta(days=days)
    return [m for n in range(days) for m in season.matches_of(SEED, first + timedelta(days=n))]


def one_with(fate: Fate) -> Match:
    return next(m for m in matches(210) if m.story.fate is fate)


def ended_with(code: int) -> Match:
    return next(m for m in matches() if m.state(at(MONDAY)).code == code)


# ids


def test_each_of_the_100000_ids_names_one_place_and_each_place_that_id():
    places = [season.place_of(number) for number in CATALOGUE]
    assert None not in places
    assert len(set(places)) == 100_000
    assert [season.id_of(*place) for place in places if place] == list(CATALOGUE)


def test_any_id_of_the_range_is_a_match_that_its_day_lists():
    for number in range(CATALOGUE_FIRST_ID, CATALOGUE_FIRST_ID + CATALOGUE_SIZE, 499):
        found = season.match(SEED, number)
        assert found is not None
        assert found in season.listed_on(SEED, found.day)


def test_the_range_covers_the_days_it_promises():
    assert season.place_of(CATALOGUE[0]) == (date(2024, 1, 1), 0)
    last = season.place_of(CATALOGUE[-1])
    assert last is not None
    assert last[0] == date(2028, 10, 15)


@pytest.mark.parametrize("number", [-1, 0, 1, 12345, 57_777_999, 266_466_988, 999_999_999_999])
def test_a_number_outside_the_calendar_is_nobodys(number):
    assert season.match(SEED, number) is None


def test_an_index_the_day_does_not_have_is_refused():
    with pytest.raises(IndexError):
        season.id_of(MONDAY, 30)


# days


@pytest.mark.parametrize("day", [date.min, date(1, 1, 2), date(1969, 12, 31), date.max])
def test_the_calendars_ends_have_matches_in_both_shapes(day):
    now = 1_800_000_000
    listed = season.listed_on(SEED, day)
    assert len(listed) >= 20
    for found in listed:
        assert season.match(SEED, found.id) == found
        assert answers.v4_match(found, now)["utcDate"].startswith(found.day.isoformat())
        json.dumps(answers.event(found, now))


def test_a_day_has_20_to_120_matches_and_a_weekend_more():
    counts = [len(season.listed_on(SEED, day)) for day in WEEK]
    assert all(20 <= count <= 125 for count in counts)
    assert min(counts[5:]) > max(counts[:5])


def test_nobody_plays_twice_on_one_day():
    for day in WEEK:
        teams = [team.id for m in season.matches_of(SEED, day) for team in (m.home, m.away)]
        assert len(set(teams)) == len(teams)


def test_in_a_league_everybody_meets_everybody_at_home_and_away():
    league = COMPETITIONS[0]
    first = season.CATALOGUE_STARTS.toordinal()
    days = [date.fromordinal(first + n) for n in range(62 * 7)]
    played = [m for day in days for m in season.matches_of(SEED, day) if m.competition == league]
    assert len(played) == len({(m.home.id, m.away.id) for m in played}) == 32 * 31


def test_every_match_is_over_before_midnight():
    assert all(m.state(after(m.day)).over for m in matches())


# spill-over


def test_a_day_lists_late_matches_of_the_day_before_and_called_off_ones_of_the_day_after():
    lists = {day: season.listed_on(SEED, day) for day in (MONDAY + timedelta(n) for n in range(28))}
    before = [m for day, listed in lists.items() for m in listed if m.day < day]
    behind = [m for day, listed in lists.items() for m in listed if m.day > day]
    assert len(before) > 28
    assert behind
    assert all(m.story.called_off for m in behind)


def test_a_match_listed_on_two_days_is_the_same_row_in_both():
    now = at(WEEK[6], 18)
    shared = 0
    for day in WEEK[1:]:
        one = {
            row["id"]: row for row in json.loads(written(day - timedelta(days=1), now))["events"]
        }
        two = {row["id"]: row for row in json.loads(written(day, now))["events"]}
        for number in one.keys() & two.keys():
            assert one[number] == two[number]
            shared += 1
    assert shared > 6


# sameness


def test_a_past_day_reads_the_same_at_any_later_moment():
    for day in WEEK:
        first = written(day, after(day))
        for later in (60, 3600, 5 * 3600, 86400, 10_000 * 86400):
            assert written(day, after(day) + later) == first


def test_the_details_of_a_past_match_read_the_same_at_any_later_moment():
    for found in season.matches_of(SEED, MONDAY):
        for page in (details.statistics, details.incidents, details.lineups):
            assert page(SEED, found, after(MONDAY)) == page(SEED, found, after(MONDAY) + 10**6)


def test_another_seed_is_another_season_under_the_same_ids():
    one, other = season.matches_of(1, MONDAY), season.matches_of(2, MONDAY)
    assert {m.id for m in one} == {m.id for m in other}
    assert [m.story for m in one] != [m.story for m in other]


# what shows when


def test_a_match_goes_from_not_started_to_ended_and_its_goals_only_grow():
    found = next(m for m in matches() if m.story.fate is Fate.PLAYED and len(m.story.goals) > 3)
    codes, goals = [], [0]
    for minute in range(-5, 170):
        seen = found.state(found.kickoff + minute * 60)
        codes.append(seen.code)
        goals.append(season.goals(found, HOME, seen) + season.goals(found, AWAY, seen))
    assert list(dict.fromkeys(codes)) in ([0, 6, 31, 7, 100], [0, 6, 31, 7, 41, 42, 110])
    assert goals == sorted(goals)
    assert goals[-1] == len(found.story.goals)


def test_a_day_in_the_evening_has_matches_over_running_and_to_come():
    types = {m.state(at(WEEK[5], 18)).type for m in season.matches_of(SEED, WEEK[5])}
    assert {"finished", "inprogress", "notstarted"} <= types


@pytest.mark.parametrize(
    ("fate", "code", "kind"),
    [
        (Fate.POSTPONED, 60, "postponed"),
        (Fate.CANCELLED, 70, "canceled"),
        (Fate.ABANDONED, 90, "canceled"),
        (Fate.WALKOVER, 91, "finished"),
    ],
)
def test_each_odd_ending_has_its_status(fate, code, kind):
    found = one_with(fate)
    seen = found.state(after(found.day))
    assert (seen.code, seen.type) == (code, kind)


def test_a_match_that_is_called_off_is_known_a_day_ahead_and_no_earlier():
    found = one_with(Fate.POSTPONED)
    assert found.state(found.kickoff - 86400).type == "postponed"
    assert found.state(found.kickoff - 86400 - 60).type == "notstarted"


def test_only_cup_ties_go_to_extra_time():
    longer = [m for m in matches() if m.story.extra_time]
    assert longer
    assert {m.competition.kind for m in longer} == {Kind.CUP}


# shapes


def test_a_match_not_started_has_empty_scores_and_no_winner():
    found = season.matches_of(SEED, MONDAY)[0]
    row = answers.event(found, found.kickoff - 1)
    assert row["homeScore"] == row["awayScore"] == {}
    assert "winnerCode" not in row
    v4 = answers.v4_match(found, found.kickoff - 1)
    assert v4["status"] == "TIMED"
    assert v4["score"]["winner"] is None
    assert v4["score"]["fullTime"] == v4["score"]["halfTime"] == {"home": None, "away": None}


def test_a_shootout_is_added_to_current_there_and_to_full_time_here():
    found = ended_with(120)
    row, v4 = answers.event(found, at(MONDAY)), answers.v4_match(found, at(MONDAY))
    for side, score in (("home", row["homeScore"]), ("away", row["awayScore"])):
        assert score["current"] == score["display"] + score["penalties"]
        assert score["display"] == score["normaltime"] + score["overtime"]
        assert v4["score"]["fullTime"][side] == score["current"]
        assert v4["score"]["penalties"][side] == score["penalties"]
        assert v4["score"]["regularTime"][side] == score["normaltime"]
        assert v4["score"]["extraTime"][side] == score["overtime"]
    assert row["homeScore"]["display"] == row["awayScore"]["display"]
    assert v4["score"]["duration"] == "PENALTY_SHOOTOUT"


def test_extra_time_decides_by_a_goal_and_has_no_penalties():
    found = ended_with(110)
    row, v4 = answers.event(found, at(MONDAY)), answers.v4_match(found, at(MONDAY))
    assert row["homeScore"]["normaltime"] == row["awayScore"]["normaltime"]
    assert row["homeScore"]["display"] != row["awayScore"]["display"]
    assert v4["score"]["duration"] == "EXTRA_TIME"
    assert "penalties" not in row["homeScore"]
    assert "penalties" not in v4["score"]


def test_the_two_shapes_tell_the_same_story_of_every_match():
    winners = {1: "HOME_TEAM", 2: "AWAY_TEAM", 3: "DRAW", None: None}
    for found in season.matches_of(SEED, WEEK[5]):
        row, v4 = answers.event(found, at(WEEK[5], 18)), answers.v4_match(found, at(WEEK[5], 18))
        assert row["id"] == v4["id"]
        assert datetime.fromisoformat(v4["utcDate"]).timestamp() == row["startTimestamp"]
        assert winners[row.get("winnerCode")] == v4["score"]["winner"]
        assert v4["score"]["fullTime"]["home"] == row["homeScore"].get("current")
        for side in ("homeTeam", "awayTeam"):
            assert (row[side]["id"], row[side]["name"]) == (v4[side]["id"], v4[side]["name"])


def test_a_walkover_is_three_nil_in_both_shapes():
    found = one_with(Fate.WALKOVER)
    row, v4 = answers.event(found, found.kickoff), answers.v4_match(found, found.kickoff)
    assert {row["homeScore"]["display"], row["awayScore"]["display"]} == {3, 0}
    assert v4["status"] == "AWARDED"
    assert v4["score"]["fullTime"]["home"] == row["homeScore"]["display"]


def test_the_incidents_add_up_to_the_score():
    for found in season.matches_of(SEED, MONDAY):
        row, page = (
            answers.event(found, after(MONDAY)),
            details.incidents(SEED, found, after(MONDAY)),
        )
        if page is None:
            continue
        for is_home, score in ((True, row["homeScore"]), (False, row["awayScore"])):
            scored = [
                one
                for one in page["incidents"]
                if one["incidentType"] == "goal" and one["isHome"] is is_home
            ]
            assert len(scored) == score["display"]


def test_a_match_that_has_not_begun_has_no_statistics_and_line_ups_an_hour_before():
    found = next(m for m in season.matches_of(SEED, MONDAY) if m.story.fate is Fate.PLAYED)
    assert details.statistics(SEED, found, found.kickoff - 1) is None
    assert details.incidents(SEED, found, found.kickoff - 1) is None
    assert details.lineups(SEED, found, found.kickoff - 3601) is None
    sides = details.lineups(SEED, found, found.kickoff - 3600)
    assert sides is not None
    assert sum(not player["substitute"] for player in sides["home"]["players"]) == 11


# names


def test_every_team_has_its_own_id_name_and_plain_slug():
    teams = {team.id: team for competition in COMPETITIONS for team in competition.teams}
    assert len({team.name for team in teams.values()}) == len(teams)
    assert len({team.slug for team in teams.values()}) == len(teams)
    assert all(team.slug.replace("-", "").isalnum() for team in teams.values())
    assert all(team.slug.isascii() for team in teams.values())
    assert all(len(competition.teams) == 32 for competition in COMPETITIONS)


def test_the_names_carry_the_alphabets_that_break_things():
    letters = "".join(team.name for c in COMPETITIONS for team in c.teams)
    assert set("ıİşŞğçöüâəÇ") <= set(letters)
    assert set("'’łŻřůÞæñçãßœọồ") <= set(letters)


def test_a_slug_keeps_every_letter():
    assert slug("Gümüşdere SK") == "gumusdere-sk"
    assert slug("Qızılqaya FK") == "qizilqaya-fk"
    assert slug("Þórsnes – Łąkocin") == "thorsnes-lakocin"


# the fault plan


def no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


def plan_of(*rows: object) -> FaultPlan:
    return FaultPlan(parse_plan(json.dumps(rows), no_file))


def hits(plan: FaultPlan, count: int, target: str = "/x") -> list[bool]:
    return [plan.fault_for(target) is not None for _ in range(count)]


def test_a_rule_is_used_up_after_its_times():
    assert hits(plan_of({"match": "x", "times": 2}), 4) == [True, True, False, False]


def test_a_rule_without_times_goes_on_for_ever():
    assert hits(plan_of({"match": "x", "times": None}), 3) == [True] * 3


def test_every_third_hit_is_every_third_hit():
    plan = plan_of({"match": "x", "every": 3, "times": 2})
    assert hits(plan, 10) == [False, False, True] + [False, False, True] + [False] * 4


def test_the_first_rule_that_is_not_used_up_wins():
    plan = plan_of({"match": "x", "times": 1, "status": 500}, {"match": ".", "status": 429})
    found = [plan.fault_for("/x"), plan.fault_for("/x"), plan.fault_for("/other")]
    assert [rule and rule.status for rule in found] == [500, 429, 429]


@pytest.mark.parametrize(
    "wrong",
    [
        {"match": "x", "tims": 3},
        {"match": "("},
        {"times": 3},
        {"match": "x", "status": 99},
        {"match": "x", "status": "429"},
        {"match": "x", "times": -1},
        {"match": "x", "times": True},
        {"match": "x", "every": 0},
        {"match": "x", "delay_s": -1},
        {"match": "x", "action": "explode"},
        {"match": "x", "size_mb": 0},
        {"match": "x", "headers": {"A": "b\r\nC: d"}},
        {"match": "x", "headers": ["A"]},
        {"match": "x", "body_file": "nowhere"},
        "x",
    ],
)
def test_a_wrong_rule_is_refused_by_a_sentence_that_names_it(wrong, monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")
    with pytest.raises(PlanError, match=r"^Rule 2 of the fault plan .*\.$"):
        plan_of({"match": "fine"}, wrong)


@pytest.mark.parametrize("text", ["", "{}", "[", '"x"', "\ufeff["])
def test_what_is_no_list_of_rules_is_refused(text):
    with pytest.raises(PlanError):
        parse_plan(text, no_file)


def test_the_refusal_speaks_turkish_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("LANGUAGE", raising=False)
    with pytest.raises(PlanError, match=r"1\. kuralında bilinmeyen anahtar: 'tims'"):
        plan_of({"match": "x", "tims": 3})


def test_every_known_key_is_accepted_together():
    row = {"match": "x", "times": 1, "every": 1, "status": 200, "headers": {"A": "b"}, "body": "t"}
    row |= {"body_file": "f", "delay_s": 0.5, "action": "drip", "size_mb": 1}
    assert set(row) == set(KNOWN_KEYS)
    (rule,) = parse_plan(json.dumps([row]), lambda name: name.encode())
    assert isinstance(rule, Rule)
    assert rule.body == b"f"


def test_the_demo_faults_come_back_every_seven_days_in_both_directions():
    for days_ago in range(-21, 22):
        rule = demo_rule(days_ago)
        expected = {0: "broken_row", 1: 404, 3: 503}.get(days_ago % 7)
        assert (rule and (rule.action or rule.status)) == expected
