r"""The English of closing sentences: what concludes, states, adds a remark, restates or counts.

`phrases` has the words round an answer that a mark sets apart; here are those of prose that ends a response.
"""

from __future__ import annotations

import re

from vision_r1.grading.phrases import FLAGS, SPEAKS_OF_ANOTHER, any_of

_DENYING = """
    not no never neither nor none cannot without wrong incorrect false except instead unless if whether
    supposed guess\\w* unknown unclear unsure unable sorry doubt\\w* but however although though
    actually wait(?!_[0-9]) hmm might could would rather rul(?:e|es|ed|ing)_out eliminat\\w+ exclud\\w+
    contradict\\w* mistak\\w+ trap fails? unlike impossible tempting too_[a-z]+ next_to torn plausible
    possible ambiguous expected be_able_to to_say to_tell every any gold reference ground_truth options?
    choices? we_know is_known given_as given_that different_from opposite other_than apart_from"""
DENIES = re.compile(rf"\b(?:{any_of(_DENYING + SPEAKS_OF_ANOTHER)}|(?-i:may))\b|n[’']t\b|[?]", FLAGS)
# Formulas, a denial inside the subject ("the flower without a ladybird is E"), and "option" before a letter.
HARMLESS = re.compile(
    r"\$[^$]{1,200}\$"
    r"|\bevery\s(?:year|month|week|day|time)\b|(?<=\bof\s)[A-Za-z]+s\sexpected\s(?!to\b|that\b)"
    r"|(?<=\b[Tt]he\s)[a-z]+s?\s(?:without|with no|that (?:is|are|does|do|has|have|was) (?:not?|n't)|not)"
    r"\s[^,;]{1,60}?(?=\s(?:is|are|was|were)\s)"
    r"|\b(?:closest|correct|right|best|better|matching)\s(?:option|choice)\b|\b(?:option|choice)(?=\s\(?[A-J]\b)",
    FLAGS,
)
_SUPPOSING = """
    if let(?!['’]s\\b) suppose assum\\w+ given when whenever for where whether consider recall note next
    now then_(?:check|add|subtract|we) check step see compare take add multiply divide look remember
    perhaps maybe anything everything everybody everyone unlike"""
SUPPOSES = re.compile(rf"\W*{any_of(_SUPPOSING)}\b", FLAGS)
# What is said of the work on the question, and not of what it asks for.
ABOUT_WORK = re.compile(
    r"\b(?:errors?|mistakes?|attempts?|possible\sanswers?|this\s(?:question|problem|task)\s(?:has|is|asks)"
    r"|(?:step|figure|theorem|lemma|equation)\s[0-9]|steps?\sto\s(?:solve|see|find))\b",
    FLAGS,
)

_THEREFORE = "so thus therefore hence then consequently in_total overall in_conclusion finally"
GROUNDS = re.compile(
    r"\W*(?:since|because|as|based on|from|looking at|using|given|according to|with|by|after|among|out of"
    r"|adding|summing|subtracting|dividing|multiplying|counting|reading|putting)\b"
    rf"(?!\s[^,]{{0,60}}\b{any_of(_THEREFORE)}\b)[^,]{{1,200}}(?:\([^()]*\)[^,]{{0,60}})?,\s",
    FLAGS,
)
CONCLUDES = re.compile(
    rf"(?:[,;:]\s(?:and\s(?!then\b))?|\sand\s(?!then\b)|\A\W*(?:and\s)?){any_of(_THEREFORE)}\b,?\s(?:the\s(?=answer)|that\s)?"
    r"|(?:\A|,\s)(?:(?:which|this|that|it)\s(?:means|shows|implies|follows)"
    r"|we\s(?:conclude|see|find|get))\sthat\s",
    FLAGS,
)
CONTRAST = re.compile(
    r"(?:,\s(?:and\s)?not|\sand\snot|,?\srather\sthan|,?\sas\sopposed\sto)\s(?:an?\s|the\s)?"
    r"(?!(?:sure|certain|be|yet|correct|right|wrong|clear|known)\b)[\w'-]+(?:\s[A-Z][\w'-]*){0,3}[*\"]{0,3}\.?\Z",
    FLAGS,
)
# "33 students sold more than 3 boxes": the figure of the question is said again.
CONDITION = re.compile(
    r"(?<=[a-z])\s(?:(?:that|which|who)\s(?:[a-z]+\s){0,2})?"
    r"(?:(?:more|fewer|less|greater|higher|lower|older|younger)\sthan|at\s(?:least|most)|exceed(?:s|ed)?)"
    r"\s(?:[0-9][0-9.,]*|one|two|three|four|five|six|seven|eight|nine|ten)\b%?(?:\s[a-z]+){0,4}\W*\Z",
    FLAGS,
)
THAT_IS = re.compile(r",?\s(?:i\.e\.,?|that is,|namely|in other words,)\s", FLAGS)

_TOPS = """lowest highest most least largest smallest greatest fewest tallest shortest longest biggest best
    maximum minimum fastest slowest worst cheapest closest nearest hottest coldest oldest youngest peak"""
_TOP = any_of(_TOPS)
TOPMOST = re.compile(rf"\b{_TOP}\b", FLAGS)
_OF_TWO = any_of("larger higher greater smaller lower bigger longer shorter taller faster slower steeper")
REMARK = re.compile(
    r",?\s(?:which|where|when|while|whereas|because|since|compared|according to|followed by|well above"
    r"|well below|making|leaving)\b.*\Z"
    rf"|,\s(?:as|with|at|before|after|until|the\s{_TOP}|far|just|followed|well|so that)\b.*\Z"
    r"|(?<!\bat)(?<!\bis)(?<!\bbe)(?<!\bto)(?<!point)(?<!vertex)(?<!centre)(?<!center)"
    r"\s\((?![A-J]\))[^()]*\)(?=\W*\Z)"
    r"|,\s(?:ahead\sof|matching|saving|beating|exceeding"
    r"|(?:just|only|exactly)?\s?[a-z]+\s(?:years?|months?|days?|weeks?)"
    r"\s(?:before|after|earlier|later)(?!,)|up\sfrom|down\sfrom)\b.*\Z"
    r"|,\sand\s(?:it|they)\s(?:fell|rose|grew|declined|dropped|increased|decreased|stayed|remained|opens?)\b"
    r"[^0-9]*\Z"
    r"|;\s(?:the\s)?[A-Z][A-Za-z\s]{1,30}\s(?:followed|came\ssecond)\b.*\Z",
    FLAGS | re.DOTALL,
)
WHICH_IS = re.compile(
    r",\swhich\s(?:is|was|equals?|becomes|gives|yields|leaves|matches|means|makes|(?:[a-z]+\s){1,3}to|factors\sas)"
    r"\s(.{1,80})\Z",
    FLAGS,
)
WHICH_IS_EXACT = re.compile(r",\swhich\s[a-z\s]{1,30}?\s(?:\$|\\|[0-9])")
LABELLED = re.compile(r",\s(?:option|choice|answer)\s\(?([A-J])\)?\W*\Z")

_BE = (
    r"(?:(?:must|should|will|has\sto|have\sto|needs\sto|can\sonly)\s(?:therefore\s|then\s)?)?"
    r"(?:be|is|are|was|were|becomes?|remains?|equals?)"
)
_PASSIVE = any_of(
    "represented shown described depicted given indicated denoted marked found displayed held won made"
    " recorded reached seen read achieved"
)
_BEING = rf"""
    therefore thus hence then indeed simply exactly clearly approximately equal_to given_by located_in
    replaced_by located_in (?:most_)?likely_taken drawn_with
    labell?ed {_PASSIVE}_(?:by|in|as|on) drawn_in painted colou?red shaded(?:_in)?"""
_STATING = """
    represents? denotes? (?:stops?|stopped|points?)_at stands?_(?:for|in) shows?_the_data_(?:of|for)
    corresponds?_to match(?:es|ed)? gives?(?:_us)? yields?
    leaves(?:_only|_us_with)? belongs?_to (?:intersect|meet|cross|touch)(?:s|es)?_at leads?_to
    results?_in amount(?:s|ed)?_to comes?_(?:out_)?to adds?_up_to sums?_to simplifies_to reduces_to
    evaluates_to works_out_to turns?_out_to_be covers? spans?
    (?:[a-z]{3,}ed|began|fell|rose|came|took_place)_(?:on|in|at)
    (?:falls|takes?_place)_on (?:sits|st(?:ands|ood))_at
    peak(?:s|ed)_(?:at|in|on) (?:occur|happen)(?:s|r?ed)_(?:in|at|on) points?_to contains?
    (?:we|I)_(?:get|obtain|have|find|choose|pick|select|see) (?:seems?|appears?|looks?)(?:_to_be)?
    (?:clock|table|graph|chart|plot|diagram|watch)_(?:shows?|reads?|represents?)"""
STATES = re.compile(
    rf"(?:\b(?:{_BE}(?:\s{any_of(_BEING)})?|{any_of(_STATING)}|{_TOP}\b[^,.;]{{0,60}}\s(?:in|on|by|during))"
    r"|:|→|⇒|➡|\\Rightarrow|是|为)\s+",
    FLAGS,
)

# What a letter or a figure is the name of: "picture D", "the range 10–15".
_NAMED = """
    period pictures? figures? image options? choice diagram graph
    shape pattern panel row column box cube numbers?
    letter card piece range interval flower statement net view tile symbol drawing sketch map plan path
    arrangement label shadow age_group country year month day value colou?r answer clock_time"""
_MEASURE = """total mean average sum value height length area volume perimeter probability ratio difference
    distance age_gap gap"""
FILLER = re.compile(
    r"(?:(?:the|an?|about|approximately|roughly|around|exactly|in|on|at|by|likely|therefore|thus|equal to"
    r"|(?:an )?example of|(?:the )?data (?:of|for)"
    rf"|the year of|(?:(?:an?|the)\s)?{any_of(_MEASURE)}\sof)\s"
    rf"|{any_of(_NAMED)}\s(?=[(\"'“*]*(?:[A-J]\b|[0-9]))"
    r"|(?:closest|correct|right|matching)\s(?:option|choice|answer|picture|figure)\sis\s)",
    FLAGS,
)
_KINDS = """bars? lines? colou?rs? one segment slice section part curve region sector column function years?
    cubes? circles? age_group"""
KIND = re.compile(rf"\s(?:colou?red\s)?{any_of(_KINDS)}(?=\W*\Z)", FLAGS)
_PLACES = """chart picture figure graph image table diagram plot photo data map sequence series list region
    question schedule"""
PLACE = re.compile(
    rf"\s(?:(?:in|on|of|from)\s(?:the|this)\s(?:[a-z]+\s)?{any_of(_PLACES)}|in total|altogether|overall"
    r"|(?:of|among)\s(?:them\s)?all)(?=\W*\Z)",
    FLAGS,
)

_ARTICLE = r"(?:(?:the|an?)\s)?"
_SUBJECT = r"(?P<subject>[^,;:]{1,60}?)"
SUBJECTS = tuple(
    re.compile(pattern, FLAGS)
    for pattern in (
        rf"{_ARTICLE}(?:{any_of(_NAMED)}\s)?{_SUBJECT}(?:\s(?:bar|line|colou?r|one|country|generation|group"
        r"|team))?(?:\s(?:is|was|are)\s(?:predicted|projected|forecast|estimated)\sto)?(?:\s(?:always|consistently|clearly|also))?"
        r"\s[a-z]{2,12}\s(?:thus\s|therefore\s|then\s)?(?:by\sfar\s)?(?:the\s|its\s)?(?:(?!second|third|fourth|next)[a-z]+\s)?"
        rf"(?:{_TOP}|(?<=the\s){_OF_TWO})\b"
        r"(?!.*(?:\b(?:than|except|after|among|second)\b|,\s(?:and|but|while|whereas)\s))",
        rf"{_ARTICLE}{_SUBJECT}(?:\s(?:bar|line))?(?:\s(?:always|consistently))?\s(?:lies|is|stays)\s(?:above|below)\s(?:all\s)?the\sothers?\b(?!\s[A-Z])",
        rf"{_ARTICLE}{_SUBJECT}\s(?:led|leads|dominated|dominates|topped|tops)\sthe\b(?!.*\b(?:than|except|after|second|until|before|list)\b)",
        rf"{_ARTICLE}{_SUBJECT}\s[a-z]{{2,12}}\s(?:more|fewer|less|{_OF_TWO})\s(?:[a-z]+\s)?than\s"
        r"(?:(?:all|any)\s(?:of\s)?)?(?:the\sothers?\b(?!\s[A-Z])|everyone|anyone|everybody|anybody)",
        rf"(?:only\s)?{_ARTICLE}(?:{any_of(_NAMED)}\s(?=[(*]*[A-J]\b))?{_SUBJECT}\s(?:corresponds?\sto\s[0-9]"
        r"|results?\sin\s(?:a|the)\s(?:greater|smaller|larger|higher|lower|bigger)\s"
        r"|(?:completes?|continues?|fits?|matches|satisfies|follows)(?=\W*\Z|\s(?:the|all|this|both)\b)"
        rf"|[a-z]+\s[0-9][0-9,.]*\s[a-z]+,\sthe\s{_TOP}\b"
        r"|is\sthe\s(?:one\s(?:we|that|which|I)|only\sone|missing|correct|right|required)\b"
        r"|(?:is|are)\s(?:the\s)?(?:correct|right)(?=\W*\Z|\s(?:one|answer|choice|option)\W*\Z)"
        r"|is\sthe\s(?:better|best)\s(?:one|answer|choice|option|deal|buy)(?=\W*\Z))",
    )
)
# Words that no name has: the subject would be a clause.
NO_SUBJECT = re.compile(
    r"\b(?:is|are|was|were|has|have|had|that|which|who|than|and|or|of|to|with|after|before|next|it|this|there"
    r"|he|she|they|we|i)\b",
    FLAGS,
)
APPOSITION = re.compile(
    r"\bthe\s[a-z]+\s(?:with|that has|having)\s[^,]{1,40},\s(an?\s[a-z]+|[A-Z][a-z]+),\s[a-z]+s\b", FLAGS
)
CLEFT = re.compile(
    r"it\s(?:is|was)\s(?:in\s|on\s|at\s)?([^,;:]{1,40}?)\s(?:that|who|which|where|when)\s", FLAGS
)

NO_COUNT = re.compile(r"\b(?:answers?|known|equation|(?:I|we)\shave)\b", FLAGS)
# Before a number: it is compared with, or it was given.
COMPARED = re.compile(
    r"(?<!hands)(?<!handed),?\s(?:well\s|far\s|just\s)?(?:above|below|over|under|compared\s(?:to|with)|versus|vs\.?|against)"
    r"\s(?:the\s)?(?:[a-z]+\s){0,5}",
    FLAGS,
)
RESTATED = re.compile(
    r"\b(?:for|in|of|from|at|with|by|on|to\s[a-z]+)\s(?:all|the|these|those|his|her|its|their|both)"
    r"\s(?:[a-z]+\s){0,2}?|\b(?:all|these|those)\s",
    FLAGS,
)
# Verbs whose number is a change, a comparison or no fact.
_NO_COUNTING = (
    "(?:increased|decreased|reduced|dropped|changed|jumped|declined|climbed|lowered|raised|exceeded|expected|assumed"
    "|guessed|estimated|wanted|needed|divided|multiplied|doubled|surpassed|topped|neared|approached|passed|crossed"
    "|rounded|added|subtracted|planned|hoped|called|named|numbered|labell?ed|listed|aged|based|compared|trailed|missed)"
)
_COUNTING = f"""
    there_(?:is|are|was|were) ha[sd] have costs? spends? spent needs? requires? miss(?:es)? lacks? lost
    gained sold earn(?:s|ed)? makes? made pays? paid saves? saved uses? used weighs? measures? contains?
    holds? shows? reads? reached received bought totals? won scored takes? took lasts? leaves? leaves_at
    arrives_at (?:was|were|is|are)_[a-z]+ed_by counts? counted gets? got differ(?:s|ed)?_by recorded
    waits? pays? ran walked drove (?:is|are|lies?|stands?)_(?:inside|within) (?!{_NO_COUNTING})[a-z]{{3,}}ed
    equals? accounts?_for (?:total|value|sum|average|height|length|area)_of makes?_up constitutes?
    comprises? owes? owns? hand(?:s|ed)_over costing
    (?:starts?|begins?|ends?|opens?|closes?)_at"""
COUNTS = re.compile(
    rf"(?<!question\s)\b(?<!be\s)(?<!divided\s)(?<!multiplied\s){any_of(_COUNTING)}"
    r"\s(?:about|approximately|roughly|around|exactly|only|just|a\stotal\sof)?\s?\Z",
    FLAGS,
)
OPERATES = re.compile(r"\b(?:divided|multiplied|increased|decreased|reduced|raised)\sby\s\Z", FLAGS)
# "12 tiles are missing", "In that year 2.5 million cars were sold".
BEFORE_COUNT = re.compile(
    r"(?:(?:in|on|at|during)\s(?!least|most)[a-z\s]{1,40}\s|(?:exactly|about|only|a total of)\s)?", FLAGS
)
COUNTED_FIRST = re.compile(
    r"\s(?!of\b|in\b|more\b|or\b|and\b)(?:[A-Za-z]+\s){0,3}?(?:[a-z]+s|people|children|men|women)"
    r"\s(?!and\b|or\b|of\b)[a-z]+"
)
_OF_THEM = r"\sof\s(?:(?:all|the|its)\s)?(?:[A-Za-z.'-]+\s){1,4}?(?!and\b|or\b|of\b)[a-z]{2,}"
PERCENT_FIRST = re.compile(rf"(?:\spercent)?{_OF_THEM}")
UNIT_FIRST = re.compile(rf"\s(?:kg|kilograms|grams|lit(?:re|er)s|tons|tonnes){_OF_THEM}")
# After a number: it is less than it looks, or a second one follows.
_ALTERING = """
    too less fewer higher lower greater smaller short times and or to(?=\\s[0-9]) per out left remaining
    possible longer shorter later earlier older younger faster slower away ago further extra off
    hundredths tenths dozens?"""
CHANGED = re.compile(
    r"\A\s(?:is|was|are|were|has|had)\b"
    rf"|\A(?:\s[a-z]+){{0,2}}?\s?\b{any_of(_ALTERING)}\b|\bof\s(?:[0-9]|the\b.*[0-9])"
    r"|\bmore\sthan\s(?:[0-9]|it\b|that\b|this\b|the\s(?:answer|one|right|correct))|[-+/×·*^=<>\\]|[,;:]\s",
    FLAGS,
)
COUNT_ENDS = frozenset(
    ["around", "inside", "outside", "between", "under", "behind", "near", "among", "over", "across", "along"]
)

# Sentences that say yes or no because they restate what such questions ask.
IS_FUNCTION = re.compile(
    r"(?:the|this|that)\s(?:[a-z]+\s)?(?:relation|table|graph|mapping|set)\s(?:is|does|represents?)\s(not\s)?"
    r"(?:represent\s)?a\sfunction\W*",
    FLAGS,
)
HAS_ENOUGH = re.compile(
    r"[A-Z][a-z]+\s(?:does|has|will have|have)\s(not\s)?(?:have\s)?enough(?:\smoney)?"
    r"(?:\sto\s[a-z\s]{1,60})?\W*",
    re.ASCII,
)
NEGATED = re.compile(
    r"(?:it|this|that|the\s[a-z]+)\s(?:is|are)\s?(?:not|n[’']t)\s(?:an?\s)?([a-z]+)(?:\sfunction)?\W*", FLAGS
)
