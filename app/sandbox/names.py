"""Made-up countries' leagues, cups and clubs: the cast of the season, without dates or results."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

TEAMS_PER_COMPETITION = 32
FIRST_TEAM_ID = 4001
_NO_DECOMPOSITION = str.maketrans(
    {"ı": "i", "ə": "e", "đ": "d", "ð": "d", "ø": "o", "þ": "th", "ł": "l", "æ": "ae", "œ": "oe"}
)


class Kind(StrEnum):
    LEAGUE = "league"
    CUP = "cup"  # knock-out: a draw goes to extra time and penalties
    FRIENDLY = "friendly"


@dataclass(frozen=True, slots=True)
class Country:
    alpha2: str  # England is "EN", as SofaScore writes it
    alpha3: str
    name: str


@dataclass(frozen=True, slots=True)
class Team:
    id: int
    name: str
    short_name: str
    country: Country
    gender: str = "M"
    national: bool = False

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def code(self) -> str:
        return slug(self.short_name).replace("-", "")[:3].upper()


@dataclass(frozen=True, slots=True)
class Competition:
    number: int
    name: str
    kind: Kind
    area: str  # "Türkiye", or "Europe" and "World", which belong to no country
    country: Country | None
    weekdays: tuple[int, ...]  # how many of its 16 weekly matches fall on Monday ... Sunday
    hours: tuple[int, int]  # first and last kick-off, UTC
    calendar_year: bool  # season 2026 instead of 26/27
    teams: tuple[Team, ...]


def slug(name: str) -> str:
    """ASCII, lower case, hyphens: "Gümüşdere SK" -> "gumusdere-sk"."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_NO_DECOMPOSITION))
    ascii_only = plain.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")


COUNTRIES = {
    country.alpha2: country
    for country in (
        Country("TR", "TUR", "Türkiye"),
        Country("AZ", "AZE", "Azerbaijan"),
        Country("EN", "ENG", "England"),
        Country("ES", "ESP", "Spain"),
        Country("DE", "DEU", "Germany"),
        Country("IT", "ITA", "Italy"),
        Country("FR", "FRA", "France"),
        Country("PT", "PRT", "Portugal"),
        Country("NL", "NLD", "Netherlands"),
        Country("PL", "POL", "Poland"),
        Country("CZ", "CZE", "Czechia"),
        Country("IS", "ISL", "Iceland"),
        Country("BR", "BRA", "Brazil"),
        Country("AR", "ARG", "Argentina"),
        Country("JP", "JPN", "Japan"),
        Country("VN", "VNM", "Vietnam"),
    )
}

# Cup days never meet the league days of the same clubs: nobody plays twice on one day.
_WEEKEND = (2, 0, 0, 0, 2, 6, 6)
_MIXED = (0, 0, 5, 3, 0, 4, 4)
_MIDWEEK = (0, 6, 6, 4, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _League:
    name: str
    country: str
    places: str  # eight, parted by |
    forms: str  # four, parted by |: every place has four clubs
    hours: tuple[int, int] = (11, 20)
    weekdays: tuple[int, ...] = _WEEKEND
    gender: str = "M"
    calendar_year: bool = False


_LEAGUES = (
    _League(
        "Süper Lig",
        "TR",
        "Gümüşdere|Akçapınar|Yıldıztepe|Çınarköy|Kızılkaya|Işıkören|Şahinözü|Üçgöller",
        "{} SK|{} FK|{}spor|{} Gençlik",
        hours=(11, 18),
    ),
    _League(
        "Anadolu Ligi",
        "TR",
        "Bozyayla|Sarıçiçek|Değirmenözü|Gökçeırmak|Karabulut|Ilıcakale|Söğütdüzü|Ovaköprü",
        "{}spor|{} İdman Yurdu|{} Belediye SK|{} Demir FK",
        hours=(10, 17),
    ),
    _League(
        "Kadınlar Ligi",
        "TR",
        "Mavigöl|Altınbağ|İncesaz|Günebakan|Papatyalı|Ceylangözü|Zeytinburcu|Rüzgârlı",
        "{} Kadın FK|{} Kadın SK|{} Hanımlar|{} Kız Spor",
        hours=(9, 15),
        gender="F",
    ),
    _League(
        "Odlar Liqası",
        "AZ",
        "Qızılqaya|Göyçəöl|Şahdüzü|Ağbulaq|Xəzəryolu|Çənlidağ|Üçtəpə|Nərgizli",
        "{} FK|{} PFK|{} İK|{} Gənclik",
        hours=(11, 16),
    ),
    _League(
        "Crown League",
        "EN",
        "St Aldwyn's|Marlowick|Thornebridge|Eastmere|Hallowfield|Kingsbarrow|Wexcombe|O'Dellstone",
        "{} Town|{} Rovers|{} Athletic|{} United",
        hours=(12, 20),
    ),
    _League(
        "Liga del Sol",
        "ES",
        "Peñablanca|Valdeniebla|Montesoleado|Guadalmira|Alcazaba Nueva|Cañaveral Alto|L’Alzinar"
        "|Ríoclaro",
        "CD {}|UD {}|Atlético {}|Real Unión {}",
        hours=(13, 21),
    ),
    _League(
        "Liga de Plata",
        "ES",
        "Fuenteplata|Arroyohondo|Torrealmena|Castillejo del Viento|Las Marismillas"
        "|Puebla de Añoranza|San Íñigo de la Sierra|Nuestra Señora del Ébano",
        "SD {}|CF {}|Racing {}|Agrupación Deportiva {}",
        hours=(13, 20),
    ),
    _League(
        "Bundesrunde",
        "DE",
        "Grünwaldau|Königsmoor|Süßenbach|Hohenlinde|Altmühlau|Rabenfurt|Störtal|Öhringstadt",
        "SV {}|FC {}|TSG {}|Eintracht {}",
        hours=(12, 19),
    ),
    _League(
        "Serie Aurora",
        "IT",
        "Montefiorito|Val d'Ombra|Roccaluna|Sant'Elmo al Mare|Borgochiaro|Pietravento"
        "|Città del Faro|Acquaviola",
        "AC {}|US {}|{} Calcio|Virtus {}",
        hours=(11, 19),
    ),
    _League(
        "Ligue d'Or",
        "FR",
        "L'Aiguebrune|Saint-Éloi-les-Pins|Châteauneige|Rivemont|Bois-l'Évêché|Montcœur"
        "|Pré-aux-Loups|Clairfontaine-sur-Aure",
        "FC {}|AS {}|Stade {}|Olympique {}",
        hours=(13, 20),
    ),
    _League(
        "Liga Atlântica",
        "PT",
        "Penhalonga|Ribeira Dourada|Vale d'Ouro|Conceição do Mar|Serra do Açor|Praia Funda"
        "|São Tirsino|Montenévoa",
        "SC {}|CF {}|GD {}|União {}",
        hours=(14, 21),
    ),
    _League(
        "Ereklasse",
        "NL",
        "Zilverdam|Noorderzand|'s-Gravenmeer|Oosterveen|Wijkerburg|Lindenhove|IJzerbeek|Waterrade",
        "FC {}|VV {}|SC {}|{} '09",
        hours=(11, 19),
    ),
    _League(
        "Złota Liga",
        "PL",
        "Złotowiec|Jaśminów|Żurawin|Białolas|Świerkowo|Łąkocin|Dębogród|Ćmielówek",
        "KS {}|GKS {}|Orzeł {}|Gwiazda {}",
        hours=(11, 19),
    ),
    _League(
        "Zlatá liga",
        "CZ",
        "Jeřábov|Třešňová|Žlutokopy|Řepčice|Kůrovec|Měděnka|Šípkov|Dubohrad",
        "FK {}|SK {}|Sokol {}|Slavoj {}",
        hours=(9, 18),
    ),
    _League(
        "Norðurdeild",
        "IS",
        "Hvítárvík|Þórsnes|Ægisfell|Bláskógar|Öskjudalur|Grænahlíð|Móabær|Sólheiði",
        "UMF {}|ÍF {}|{} FC|Knattspyrnufélag {}",
        hours=(13, 20),
        calendar_year=True,
    ),
    _League(
        "Liga Brasa",
        "BR",
        "Campo das Araras|Rio Jaçanã|Ipê Dourado|São Bento d'Água|Vila Açucena|Morro do Cajá"
        "|Lagoa Grandense|Estância Verde",
        "EC {}|AA {}|{} FC|Desportivo {}",
        hours=(18, 21),
        weekdays=_MIXED,
        calendar_year=True,
    ),
    _League(
        "Liga de la Pampa",
        "AR",
        "Laguna del Zorro|Cañada Honda|Paso Ñandú|Monte Ombú|Los Teros|Arroyo Güeldes"
        "|Villa Jacarandá|Puerto Bagual",
        "CA {}|Deportivo {}|Sportivo {}|Unión de {}",
        hours=(18, 21),
        weekdays=_MIXED,
        calendar_year=True,
    ),
    _League(
        "Asahi League",
        "JP",
        "Tsukimori|Hoshigawa|Kazehama|Yukitani|Aomidori|Natsuhara|Kōmeizaki|Sakuranobe",
        "{} FC|{} SC|Vento {}|Luce {}",
        hours=(9, 11),
        weekdays=_MIXED,
        calendar_year=True,
    ),
    _League(
        "Giải Sen Vàng",
        "VN",
        "Sông Ngọc|Đồi Thông|Bãi Sỏi|Hồ Trăng|Rừng Tre|Suối Mơ|Đảo Yến|Núi Sương",
        "CLB {}|{} FC|Thanh Niên {}|Trẻ {}",
        hours=(9, 13),
        weekdays=_MIXED,
        calendar_year=True,
    ),
)


@dataclass(frozen=True, slots=True)
class _Cup:
    name: str
    area: str
    country: str | None
    leagues: str  # whose clubs take part, parted by |
    first_club: int = 0  # counted within each league; keeps two cups from sharing a club


_CUPS = (
    _Cup("Türkiye Kupası", "Türkiye", "TR", "Süper Lig|Anadolu Ligi"),
    _Cup("Copa de la Corona", "Spain", "ES", "Liga del Sol|Liga de Plata"),
    _Cup("Crown Cup", "England", "EN", "Crown League"),
    _Cup(
        "Champions Trophy",
        "Europe",
        None,
        "Süper Lig|Liga del Sol|Bundesrunde|Serie Aurora"
        "|Ligue d'Or|Liga Atlântica|Ereklasse|Odlar Liqası",
        first_club=28,
    ),
    _Cup(
        "Continental Shield",
        "Europe",
        None,
        "Złota Liga|Zlatá liga|Norðurdeild|Bundesrunde"
        "|Serie Aurora|Ligue d'Or|Liga Atlântica|Ereklasse",
        first_club=24,
    ),
)


def _clubs(number: int, league: _League) -> tuple[Team, ...]:
    country = COUNTRIES[league.country]
    first = FIRST_TEAM_ID + number * TEAMS_PER_COMPETITION
    pairs = [
        (place, form) for form in league.forms.split("|") for place in league.places.split("|")
    ]
    return tuple(
        Team(first + k, form.format(place), place, country, league.gender)
        for k, (place, form) in enumerate(pairs)
    )


def _league(number: int, league: _League) -> Competition:
    country = COUNTRIES[league.country]
    return Competition(
        number,
        league.name,
        Kind.LEAGUE,
        country.name,
        country,
        league.weekdays,
        league.hours,
        league.calendar_year,
        _clubs(number, league),
    )


def _cup(number: int, cup: _Cup, leagues: dict[str, Competition]) -> Competition:
    names = cup.leagues.split("|")
    share = TEAMS_PER_COMPETITION // len(names)
    clubs = range(cup.first_club, cup.first_club + share)
    teams = tuple(leagues[name].teams[k] for k in clubs for name in names)
    country = COUNTRIES[cup.country] if cup.country else None
    return Competition(
        number,
        cup.name,
        Kind.CUP,
        cup.area,
        country,
        _MIDWEEK,
        (15, 20),
        calendar_year=False,
        teams=teams,
    )


def _friendlies(number: int) -> Competition:
    first = FIRST_TEAM_ID + len(_LEAGUES) * TEAMS_PER_COMPETITION
    names = [(c, c.name + suffix) for suffix in ("", " U21") for c in COUNTRIES.values()]
    teams = tuple(
        Team(first + k, name, name, country, national=True)
        for k, (country, name) in enumerate(names)
    )
    return Competition(
        number,
        "International Friendlies",
        Kind.FRIENDLY,
        "World",
        None,
        _MIDWEEK,
        (10, 19),
        calendar_year=True,
        teams=teams,
    )


def _competitions() -> tuple[Competition, ...]:
    leagues = [_league(number, league) for number, league in enumerate(_LEAGUES)]
    by_name = {league.name: league for league in leagues}
    cups = [_cup(number, cup, by_name) for number, cup in enumerate(_CUPS, len(leagues))]
    return (*leagues, *cups, _friendlies(len(leagues) + len(cups)))


COMPETITIONS = _competitions()
