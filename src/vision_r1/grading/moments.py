"""Times of day and dates as answers: "3:45 PM" is 15:45, "4 July 2020" is 2020-07-04."""

from __future__ import annotations

import re

_TIME = re.compile(
    r"(?P<hour>[0-9]{1,2})(?:[:.](?P<minute>[0-5][0-9]|(?<=:)0)(?::(?P<second>[0-5][0-9]))?)?"
    r"\s?(?:(?P<half>[ap])\.?\s?m\b\.?)?",
    re.IGNORECASE | re.ASCII,
)
_HOURS = "one two three four five six seven eight nine ten eleven twelve"
_HOUR = {name: place for place, name in enumerate(_HOURS.split(), start=1)}
_PAST = re.compile(
    rf"(?P<part>half|(?:a\s)?quarter|[0-9]{{1,2}}(?:\sminutes?)?)\s(?P<side>past|to)\s(?P<hour>[0-9]{{1,2}}|{'|'.join(_HOUR)})",
    re.IGNORECASE | re.ASCII,
)
_O_CLOCK = re.compile(r"\s?o['’]clock", re.IGNORECASE | re.ASCII)
# "2006/07" and "2006-07" are one season, "2012-07" is a month.
_SEASON = re.compile(r"(?P<year>[12][0-9]{3})\s?[-/–]\s?(?P<next>[0-9]{2})")
_NAMES = "january february march april may june july august september october november december"
_MONTHS = {
    name[:length]: place for place, name in enumerate(_NAMES.split(), start=1) for length in (3, len(name))
}
_MONTHS["sept"] = 9
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s)?"
_DATES = tuple(
    re.compile(rf"{_WEEKDAY}(?:the\s)?{form}", re.IGNORECASE | re.ASCII)
    for form in (
        rf"{_MONTH}\s{_DAY}(?:,?\s{_YEAR})?",
        rf"{_DAY}\s(?:of\s)?{_MONTH}(?:,?\s{_YEAR})?",
        rf"{_MONTH},?\s(?:of\s)?{_YEAR}",
        rf"{_YEAR},?\s{_MONTH}",
        r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})",
        r"(?P<year>[12][0-9]{3})-(?P<month>0[1-9]|1[0-2])",
    )
)

Moment = tuple[str, int | None, int | None, int | None]


def parse_moment(text: str) -> Moment | None:
    """A time ("time", hour of 24, minute, second) or a date ("date", year, month, day); else None.

    A time of twelve hours without "am" or "pm" is none of the two halves: ("clock", 3, 45, 0). What a
    date leaves out is None. "2006/07" is a season of two years.
    """
    return _time(_O_CLOCK.sub(":00", text)) or _season(text) or _date(text)


def _season(text: str) -> Moment | None:
    """("season", first year, last year, None) of "2006/07"; None if the second is not the next year."""
    match = _SEASON.fullmatch(text)
    if match is None or (int(match["year"]) + 1) % 100 != int(match["next"]):
        return None
    return "season", int(match["year"]), int(match["next"]), None


def _time(text: str) -> Moment | None:
    if past := _PAST.fullmatch(text):
        return _past(past)
    match = _TIME.fullmatch(text)
    if match is None or not (match["minute"] or match["half"]):
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        return "time", hour % 12 + 12 * (match["half"].casefold() == "p"), minute, second
    if hour > 23 or ":" not in text:  # 3.45 is a number
        return None
    return ("time" if hour > 12 or hour == 0 else "clock"), hour, minute, second


def _past(match: re.Match[str]) -> Moment | None:
    """The clock time of "half past seven", "a quarter to 8", "10 past 9"."""
    part, hour = match["part"].casefold(), match["hour"].casefold()
    minutes = 30 if part == "half" else 15 if part.endswith("quarter") else int(part.split()[0])
    whole = _HOUR.get(hour) or int(hour)
    if not (1 <= whole <= 12 and 0 < minutes < 60) or (part == "half" and match["side"].casefold() == "to"):
        return None
    if match["side"].casefold() == "to":
        whole, minutes = (whole - 2) % 12 + 1, 60 - minutes
    return "clock", whole, minutes, 0


def _date(text: str) -> Moment | None:
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match is not None:
            found = match.groupdict()
            name = found["month"].casefold()
            month = _MONTHS.get(name) or int(name)
            day, year = (int(found[key]) if found.get(key) else None for key in ("day", "year"))
            fits = 1 <= month <= 12 and (day is None or 1 <= day <= 31)
            return ("date", year, month, day) if fits else None
    return None
