r"""The clauses of a closing sentence: which one concludes, and what its verb or its subject claims.

All of it goes by the words, never by the gold: what follows the last verb that states ("represents", "is shown
in", "adds up to"), what precedes a superlative ("Generation Z lost the most weight"), or the only number that is
neither restated nor compared with.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from vision_r1.grading.phrases import FLAGS, FUNCTION_WORDS, PLURAL, SHORT_IS, SPEAKS_OF_ANOTHER, any_of
from vision_r1.grading.sentences import names_another
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_DENYING = """
    not no never neither nor none cannot without wrong incorrect false except instead unless if whether supposed
    guess\\w* unknown unclear unsure unable sorry doubt\\w* but however although though actually wait hmm might
    could would rather rul(?:e|es|ed|ing)_out eliminat\\w+ exclud\\w+ contradict\\w* mistak\\w+ trap fails? unlike
    impossible tempting too_[a-z]+ next_to torn plausible possible ambiguous expected
    be_able_to to_say to_tell
    every any gold reference ground_truth options? choices? we_know is_known given_as given_that
    different_from opposite other_than apart_from"""
_DENIES = re.compile(rf"\b(?:{any_of(_DENYING + SPEAKS_OF_ANOTHER)}|(?-i:may))\b|n[’']t\b|[?]", FLAGS)
_HARMLESS = re.compile(
    r"\$[^$]{1,200}\$|(?<=\b[Tt]he\s)[a-z]+s?\s(?:without|with no|that (?:is|are|does|do|has|have|was) (?:not?|n't)|not)\s[^,;]{1,60}?(?=\s(?:is|are|was|were)\s)|\b(?:closest|correct|right|best|matching)\s(?:option|choice)\b|\b(?:option|choice)(?=\s\(?[A-J]\b)",
    FLAGS,
)
_SUPPOSES = re.compile(
    r"\W*(?:if|let(?!['’]s\b)|suppose|assum\w+|given|when|whenever|for|where|whether|consider|recall|note|next|now|then\s(?:check|add|subtract|we)|check|step|see"
    r"|compare|take|add|multiply|divide|look|remember|perhaps|maybe|anything|everything|everybody|everyone|unlike)\b",
    FLAGS,
)
_GROUNDS = re.compile(
    r"\W*(?:since|because|as|based on|from|looking at|using|given|according to|with|by|after)\b(?!\s[^,]{0,60}\b(?:so|therefore|hence|thus)\b)"
    r"[^,]{1,200}(?:\([^()]*\)[^,]{0,60})?,\s",
    FLAGS,
)
_CONCLUDES = re.compile(
    r"(?:[,;:]\s(?:and\s)?|\s(?:and\s)|\A\W*(?:and\s)?)(?:so|thus|therefore|hence|then|consequently|in total|overall|in conclusion|finally)"
    r"\b,?\s(?:the\s(?=answer)|that\s)?"
    r"|(?:\A|,\s)(?:(?:which|this|that|it)\s(?:means|shows|implies|follows)|we\s(?:conclude|see|find|get))\sthat\s",
    FLAGS,
)
_THAT_IS = re.compile(r",?\s(?:i\.e\.,?|that is,|namely|in other words,)\s", FLAGS)
_REMARK = re.compile(
    r",?\s(?:which|where|when|while|whereas|because|since|compared|according to|followed by|well above|well below|making|leaving)\b.*\Z"
    r"|,\s(?:as|with|at|before|after|until|the\s(?:most|fewest|least|highest|lowest|largest|smallest)|far|just|followed|well|so that)\b.*\Z|(?<!\bat)(?<!\bis)(?<!\bbe)(?<!\bto)(?<!point)(?<!vertex)(?<!centre)(?<!center)\s\((?![A-J]\))[^()]*\)(?=\W*\Z)",
    FLAGS | re.DOTALL,
)
_EXACT = re.compile(r",\swhich\s[a-z\s]{1,30}?\s(?:\$|\\|[0-9])")
_WHICH_IS = re.compile(
    r",\swhich\s(?:is|was|equals?|becomes|gives|matches|means|makes|(?:[a-z]+\s){1,3}to|factors\sas)\s(.{1,80})\Z",
    FLAGS,
)

_TOPS = """lowest highest most least largest smallest greatest fewest tallest shortest longest biggest best
    maximum minimum fastest slowest worst cheapest closest nearest hottest coldest oldest youngest peak"""
_TOP = any_of(_TOPS)
_TOPMOST = re.compile(rf"\b(?:{_TOP})\b", FLAGS)
_HEDGED_VERB = r"(?:seems?|appears?|looks?)(?:\sto\sbe)?"
_STATES = re.compile(
    rf"""(?:\b(?:
      (?:(?:must|should|will|has\sto|have\sto|needs\sto|can\sonly)\s)?(?:be|is|are|was|were|becomes?|remains?|equals?)
      (?:\s(?:therefore|thus|hence|then|indeed|simply|exactly|clearly|approximately|equal\sto|given\sby|located\sin|labell?ed
        |(?:represented|shown|depicted|given|indicated|denoted|marked|found|displayed|held|won|made|recorded|reached|seen|read|achieved)
        \s(?:by|in|as|on)|drawn\sin|painted|colou?red|shaded(?:\sin)?))?
      |represents?|denotes?|corresponds?\sto|match(?:es|ed)?|gives?(?:\sus)?|yields?|leaves(?:\sonly|\sus\swith)?|belongs?\sto
      |(?:intersect|meet|cross|touch)(?:s|es)?\sat|leads?\sto|results?\sin|amount(?:s|ed)?\sto
      |comes?\s(?:out\s)?to|adds?\sup\sto|sums?\sto|simplifies\sto|reduces\sto|evaluates\sto|works\sout\sto
      |covers?|spans?|(?:[a-z]{{3,}}ed|began|fell|rose|came|took\splace)\s(?:on|in|at)
      |turns?\sout\sto\sbe|st(?:ands|ood)\sat|peak(?:s|ed)\s(?:at|in|on)|(?:occur|happen)(?:s|r?ed)\s(?:in|at|on)
      |(?:we|I)\s(?:get|obtain|have|find|choose|pick|select|see)|points?\sto|contains?|{_HEDGED_VERB}
      |(?:clock|table|graph|chart|plot|diagram|watch)\s(?:shows?|reads?|represents?)
      |{_TOP}\b[^,.;]{{0,60}}\s(?:in|on|by|during)
    )|:|→|⇒|➡|\\Rightarrow|是|为)\s+""",
    FLAGS | re.VERBOSE,
)
_NOUN = """picture figure image option choice diagram graph shape pattern panel row column box cube number letter
    card piece range interval flower statement net view tile symbol drawing sketch map plan path arrangement label shadow age_group
    country year month day value colou?r answer clock_time"""
_FILLER = re.compile(
    rf"(?:(?:the|an?|about|approximately|roughly|around|exactly|in|on|at|by|likely|therefore|thus|equal to|the year of|(?:(?:an?|the)\s)?(?:total|mean|average|sum|value|height|length|area|volume|perimeter|probability|ratio|difference|distance)\sof)\s|(?:{any_of(_NOUN)})\s(?=[(\"'“*]*(?:[A-J]\b|[0-9]))"
    r"|(?:closest|correct|right|matching)\s(?:option|choice|answer|picture|figure)\sis\s)",
    FLAGS,
)
_KIND = re.compile(
    r"\s(?:colou?red\s)?(?:bars?|lines?|colou?rs?|one|segment|slice|section|part|curve|region|sector|column|function|years?|cubes?"
    r"|circles?|age group)(?=\W*\Z)",
    FLAGS,
)
_PLACE = re.compile(
    r"\s(?:(?:in|on|of|from)\s(?:the|this)\s(?:[a-z]+\s)?(?:chart|picture|figure|graph|image|table|diagram|plot|photo|data|map|sequence|series"
    r"|list|region|question|schedule)|in total|altogether|overall|(?:of|among)\s(?:them\s)?all)(?=\W*\Z)",
    FLAGS,
)
_SUBJECT = re.compile(
    rf"(?:(?:the|an?)\s)?(?:(?:{any_of(_NOUN)})\s)?(?P<subject>[^,;:]{{1,60}}?)(?P<noun>\s(?:bar|line|colou?r|one|country|generation"
    rf"|group|team))?\s(?P<verb>[a-z]{{2,12}})\s(?:by\sfar\s)?(?:the\s|its\s)?(?:(?!second|third|fourth|next)[a-z]+\s)?(?:{_TOP}|(?<=the\s)(?:larger|higher|greater|smaller|lower|bigger|longer|shorter|taller|faster|slower|steeper))\b(?!.*(?:\b(?:than|except|after|among|second)\b|,\s(?:and|but|while|whereas)\s))"
    r"|(?:(?:the|an?)\s)?(?P<winner>[^,;:]{1,60}?)\s[a-z]{2,12}\s(?:more|fewer|less|higher|lower|larger|smaller|taller|shorter)\s(?:[a-z]+\s)?"
    r"than\s(?:(?:all|any)\s(?:of\s)?)?(?:the\sothers?\b(?!\s[A-Z])|everyone|anyone|everybody|anybody)",
    FLAGS,
)
_OPTION_SUBJECT = re.compile(
    rf"(?:only\s)?(?:(?:the|an?)\s)?(?:(?:{any_of(_NOUN)})\s(?=[(*]*[A-J]\b))?(?P<subject>[^,;:]{{1,60}}?)\s(?:corresponds?\sto\s[0-9]|results?\sin\s(?:a|the)\s(?:greater|smaller|larger|higher|lower|bigger)\s"
    r"|(?:completes?|continues?|fits?|matches|satisfies|follows)(?=\W*\Z|\s(?:the|all|this|both)\b)"
    rf"|[a-z]+\s[0-9][0-9,.]*\s[a-z]+,\sthe\s{_TOP}\b|is\sthe\s(?:one\s(?:we|that|which|I)|only\sone|missing|correct|right|required)\b"
    r"|(?:is|are)\s(?:the\s)?(?:correct|right)(?=\W*\Z|\s(?:one|answer|choice|option)\W*\Z))",
    FLAGS,
)
_APPOSITION = re.compile(
    r"\bthe\s[a-z]+\s(?:with|that has|having)\s[^,]{1,40},\s(an?\s[a-z]+|[A-Z][a-z]+),\s[a-z]+s\b", FLAGS
)
_CLEFT = re.compile(
    r"it\s(?:is|was)\s(?:in\s|on\s|at\s)?([^,;:]{1,40}?)\s(?:that|who|which|where|when)\s", FLAGS
)
_LABELLED = re.compile(r",\s(?:option|choice|answer)\s\(?([A-J])\)?\W*\Z")
_NO_SUBJECT = re.compile(
    r"\b(?:is|are|was|were|has|have|had|that|which|who|than|and|or|of|to|with|after|before|next|it|this|there|he|she|they|we|i)\b",
    FLAGS,
)

# What is said of the work on the question, and not of what it asks for.
_ABOUT_WORK = re.compile(
    r"\b(?:errors?|mistakes?|attempts?|possible\sanswers?|this\s(?:question|problem|task)\s(?:has|is|asks)"
    r"|(?:step|figure|theorem|lemma|equation)\s[0-9]|steps?\sto\s(?:solve|see|find))\b",
    FLAGS,
)
_META = re.compile(r"\b(?:answers?|known|equation|(?:I|we)\shave)\b", FLAGS)
_COMPARED = re.compile(
    r",?\s(?:well\s|far\s|just\s)?(?:above|below|over|under|compared\s(?:to|with)|versus|vs\.?|against)\s(?:the\s)?(?:[a-z]+\s){0,5}",
    FLAGS,
)
_RESTATED = re.compile(
    r"\b(?:for|in|of|from|at|with|by|on|to\s[a-z]+)\s(?:all|the|these|those|his|her|its|their|both)\s(?:[a-z]+\s){0,2}?"
    r"|\b(?:all|these|those)\s",
    FLAGS,
)
_COUNT_VERBS = """there_(?:is|are|was|were) ha[sd] have costs? spends? spent needs? requires? miss(?:es)? lacks? lost gained sold
    earn(?:s|ed)? makes? made pays? paid saves? saved uses? used weighs? measures? contains? holds? shows? reads? reached
    received bought totals? won scored takes? took lasts? leaves? leaves_at arrives_at (?:was|were|is|are)_[a-z]+ed_by counts?
    counted gets? got differ(?:s|ed)?_by (?:total|value|sum|average|height|length|area)_of recorded equals? accounts?_for makes?_up constitutes? comprises? owes? owns?"""
_COUNTS = re.compile(
    rf"(?<!question\s)\b(?<!be\s)(?<!divided\s)(?<!multiplied\s){any_of(_COUNT_VERBS)}\s(?:about|approximately|roughly|around|exactly|only|just|a\stotal\sof)?\s?\Z",
    FLAGS,
)
_PREPOSITIONS = frozenset("around inside outside between under behind near among over across along".split())
# "12 tiles are missing", "In that year 2.5 million cars were sold".
_BEFORE_COUNT = re.compile(
    r"(?:(?:in|on|at|during)\s(?!least|most)[a-z\s]{1,40}\s|(?:exactly|about|only)\s)?", FLAGS
)
_COUNTED_FIRST = re.compile(
    r"\s(?!of\b|in\b|more\b|or\b|and\b)(?:[a-z]+\s){0,2}?(?:[a-z]+s|people|children|men|women|students)\s(?!and\b|or\b|of\b)[a-z]+"
)
_MONEY = re.compile(r"\D*[$€£¥]")
_DIVIDED = re.compile(r"\b(?:divided|multiplied|increased|decreased|reduced|raised)\sby\s\Z", FLAGS)
_CHANGED = re.compile(
    r"\A\s(?:is|was|are|were|has|had)\b|\A(?:\s[a-z]+){0,2}?\s?\b(?:too|less|fewer|higher|lower|greater|smaller|short|times|and|or|to\s[0-9]|per|out|left|remaining|possible"
    r"|longer|shorter|later|earlier|older|younger|faster|slower|away|ago|further|extra|off|hundredths|tenths|dozens?)\b|\bof\s(?:[0-9]|the\b.*[0-9])|\bmore\sthan\s(?:[0-9]|it\b|that\b|this\b|the\s(?:answer|one|right|correct))|[-+/×·*^=<>\\]|[,;:]\s",
    FLAGS,
)
_FUNCTION = re.compile(
    r"(?:the|this|that)\s(?:[a-z]+\s)?(?:relation|table|graph|mapping|set)\s(?:is|does|represents?)\s(not\s)?(?:represent\s)?a\sfunction\W*",
    FLAGS,
)
_NEGATED = re.compile(
    r"(?:it|this|that|the\s[a-z]+)\s(?:is|are)\s?(?:not|n[’']t)\s(?:an?\s)?([a-z]+)(?:\sfunction)?\W*", FLAGS
)
_ENOUGH = re.compile(
    r"[A-Z][a-z]+\s(?:does|has|will have|have)\s(not\s)?(?:have\s)?enough(?:\smoney)?(?:\sto\s[a-z\s]{1,60})?\W*",
    re.ASCII,
)


def denies(clause: str) -> bool:
    """Whether a clause denies, doubts or sets a condition, so that it claims nothing."""
    return _DENIES.search(_HARMLESS.sub(" ", clause)) is not None


def supposes(sentence: str) -> bool:
    """Whether a sentence begins as a supposition, a step or an instruction: "Let x = 3.", "Step 3"."""
    return _SUPPOSES.match(sentence) is not None


def about_work(sentence: str) -> bool:
    """Whether a sentence speaks of the work on the question: "There were 12 errors in the table."."""
    return _ABOUT_WORK.search(sentence) is not None


def main_clause(sentence: str) -> str:
    """The clause that concludes: without the grounds before it ("Since ..., "), after the last "so"."""
    text = SHORT_IS.sub(r"\1 is", sentence.strip())
    if grounds := _GROUNDS.match(text):
        text = text[grounds.end() :]
    for pattern in (_CONCLUDES, _THAT_IS):
        if found := list(pattern.finditer(text)):
            text = text[found[-1].end() :]
    return text.strip()


def without_remarks(clause: str) -> str:
    """A clause without what it adds: "May, at roughly 25 °C" -> "May". A remark that denies stays."""
    remark = _REMARK.search(clause)
    return clause[: remark.start()] if remark and not denies(remark[0]) else clause


def objects(clause: str) -> Iterator[str]:
    """What the last verb that states is followed by, without articles, "bar" and "in the chart"."""
    if which := _WHICH_IS.search(clause):
        yield from _bare(which[1])
    main = without_remarks(clause)
    if _EXACT.search(clause) and not _COMPARED.search(clause):  # "which expands to x^2 - 9" says it last
        return
    found = list(_STATES.finditer(main))
    if not found or len(_TOPMOST.findall(main)) > 1:  # "highest in 2017 and lowest in 2018"
        return
    before, rest = main[: found[-1].start()], main[found[-1].end() :]
    listed = found[-1][0].strip() == ":" and (":" in before or names_another(before, rest, ":"))
    if not listed:  # "Jan: 10, Feb: 12", "row 2: 12"
        yield from _bare(rest)


def _bare(fragment: str) -> Iterator[str]:
    text = _PLACE.sub("", fragment.strip().rstrip(".!"), count=1).strip()
    yield text
    for _ in range(3):
        if not (filler := _FILLER.match(text)):
            break
        text = text[filler.end() :].strip()
    yield text
    if kind := _KIND.search(text):
        yield text[: kind.start()]


def subjects(clause: str) -> Iterator[str]:
    """What comes before a superlative or a verb that singles out: "Generation Z lost the most weight"."""
    for pattern in (_SUBJECT, _OPTION_SUBJECT):
        found = pattern.match(clause)
        subject = (found["subject"] or found.groupdict().get("winner") or "") if found else ""
        if subject and not _NO_SUBJECT.search(subject):
            yield from _bare(subject)
    if cleft := _CLEFT.match(clause):
        yield from _bare(cleft[1])
    if apposition := _APPOSITION.search(clause):
        yield from _bare(apposition[1])


def without_label(clause: str) -> tuple[str, str]:
    """A clause without the letter that it adds, and the letter: "x = 18, choice (C)" -> ("x = 18", "C")."""
    found = _LABELLED.search(clause)
    return (clause[: found.start()], found[1]) if found else (clause, "")


def settled_numbers(clause: str) -> tuple[str, ...]:
    """The only number of a clause once what is restated or compared with is set aside; empty if there is none.

    "Mali has 27.5%, above the average of 21.2%" has one, "between 12 and 15" and "12 of 40" have none.
    """
    text = without_remarks(clause)
    values = [match for pattern in (VALUE, SPELT) for match in pattern.finditer(text)]
    values = [match for match in values if not _set_aside(text[: match.start()])]
    if len(values) != 1 or _META.search(text):
        return ()
    before, after = text[: values[0].start()], text[values[0].end() :].rstrip(" .!")
    counted_first = _BEFORE_COUNT.fullmatch(before) and _COUNTED_FIRST.match(after)
    if (values[0][0].endswith("%") and after.startswith(" more")) or not (
        _COUNTS.search(before) or counted_first
    ):
        return ()
    if _DIVIDED.search(before) or _CHANGED.search(after):
        return ()
    ends = FUNCTION_WORDS | _PREPOSITIONS
    words = tuple(itertools.takewhile(lambda word: word.casefold() not in ends, after.split()[:4]))
    noun = next((place for place, word in enumerate(words, start=1) if PLURAL.fullmatch(word)), len(words))
    return (" ".join((values[0][0], *(() if _MONEY.match(values[0][0]) else words[:noun]))),)


def _set_aside(before: str) -> bool:
    """Whether the words before a number only restate it or compare with it: "for the 4 bracelets"."""
    for pattern in (_COMPARED, _RESTATED):
        found = list(pattern.finditer(before))
        if found and found[-1].end() == len(before):
            return True
    return False


def polarity(clause: str, options: Sequence[str] = ()) -> str | None:
    """What a denial is an answer to: "not a function" to "yes or no", "not linear" to "linear or nonlinear"."""
    if len(options) == 2 and (negated := _NEGATED.fullmatch(clause)):
        opposite = f"non{negated[1].casefold()}"
        if named := next((text for text in options if text.casefold().replace("-", "") == opposite), None):
            return named
    found = _FUNCTION.fullmatch(clause) or _ENOUGH.fullmatch(clause)
    return ("no" if found[1] else "yes") if found else None
