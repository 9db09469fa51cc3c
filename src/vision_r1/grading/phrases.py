r"""The English (and some Chinese) round an answer: words that conclude, state, deny, compare or explain."""

from __future__ import annotations

import re

FLAGS = re.IGNORECASE | re.ASCII


def any_of(words: str) -> str:
    """A pattern of any of the words; "_" stands for white space inside a phrase."""
    return f"(?:{'|'.join(words.split())})".replace("_", r"\s")


# A sentence with one of these does not simply say what is.
_DENYING = """
    not no never neither nor none cannot without wrong incorrect false except instead unless if whether
    gold label reference ground_truth expected supposed thought guess\\w* assum\\w+ unknown unclear
    unsure unable sorry doubt\\w* every any maybe but however although though actually wait hmm
 options? choices? each may_be have_been used_to can_be(?=\\s[0-9])"""
# What is said of another than the answer, or by others: "one of them is C", "some say".
SPEAKS_OF_ANOTHER = """
    nobody some_say (?:many|some)_people at_first_(?:sight|glance) one_of_them
    (?:first|another)_candidate other_one to_look_at to_check to_be_checked to_consider
    (?:before|after)_the_(?:missing|next|right|correct) only_the_[a-z]+_part used_to"""
DENIES = re.compile(rf"\b{any_of(_DENYING + SPEAKS_OF_ANOTHER)}\b|n't\b|[?<>]", FLAGS)

# Beside one of these a number is not the value: "more than 12", "divisible by 12", "before 2021".
_COMPARING = """
    than least most under over above below nearly almost minus plus (?<!\\\\)times dozens? hundreds
    thousands millions billions tens tenths hundredths thousandths halves thirds quarters fourths fifths
    pairs? couples? factorial hex\\w* binary octal base(?=\\s[0-9]) modulo mod higher lower greater smaller
    fewer too others? another opposite inverse reciprocal negative next previous successor
    (?:sum|product|difference)_of less doubled halved half twice double between divisible multiple
    factors? digits? squared cubed (?:before|after)(?=\\s(?:the\\s|year\\s){0,2}[0-9])"""
COMPARES = re.compile(rf"\b{any_of(_COMPARING)}\b|\\(?:le|ge|ne|lt|gt|approx)", FLAGS)

# "I first thought 12 but": what comes before is taken back.
_TAKING_BACK = "thought guess\\w* said initially originally first previously seem\\w* looks? appears?"
CORRECTED = re.compile(
    rf".*\b{any_of(_TAKING_BACK)}\b.*?(?:,\s?|\s)(?:but|however|although)\s", FLAGS | re.DOTALL
)

_CONCLUDING = """
    so thus therefore hence then finally overall consequently accordingly in_conclusion in_total and
    => ⇒ → ∴"""
LEAD = re.compile(
    rf"(?:{any_of(_CONCLUDING)}(?![A-Za-z])|所以|因此|故|综上"
    r"|(?:looking at|from|among|of) (?:all )?(?:the )?(?:given |answer )?(?:options|choices)"
    r"(?: given| provided)?(?=,)"
    r"|(?:[a-z\s]{1,40},\s)?(?:we|I)\s(?:have|get|got|obtain|find|see|count)\b(?: that\b)?"
    r")[,:，：]?\s*",
    FLAGS,
)
SHORT_IS = re.compile(r"\b(it|that|there|he|she|what)'(?:s|re)\b", FLAGS)

_MODAL = any_of("should must would will can has_to have_to")
COPULA = re.compile(
    rf"(?:\s(?:(?:{_MODAL}\s)?be|is|are|was|were|equals?)\b(?:\sequal to|\sabout|\sapproximately)?:?"
    r"|:|是|为|等于|[=＝≈]|\\approx)\s*",
    FLAGS,
)
# What may stand before a bare value in place of an article.
_FILLERS = """the an? in on at by therefore thus then clearly simply exactly definitely indeed just only
    option choice letter answer equal_to around about"""
# The A of "A B" is a letter.
FILLER = re.compile(rf"(?!A\s\(?[A-J]\b(?!\s?\w))(?i:{any_of(_FILLERS)})\s", re.ASCII)
# "12 objects are left": the value comes before the verb.
LEFT = re.compile(r"(?:left|remaining|needed|required|visible|shown|present)\b", FLAGS)

# "Cape Verde has the lowest value", "B is correct": the subject is the answer.
_TOP = """lowest highest most least largest smallest greatest fewest tallest shortest biggest best longest
    maximum minimum correct right answer only fastest slowest"""
TOP = any_of(_TOP)
_HAS = "has had have shows? showed is was are were represents? recorded received got"
SUBJECT = re.compile(
    rf"(?P<subject>.{{1,60}}?)\s(?:{any_of(_HAS)}\s(?:by far\s)?the\s"
    rf"(?:(?!second|third|fourth|next)[a-z]+\s)?{TOP}"
    r"|(?:completes?|continues?|fits?|matches|works|satisfies)(?=\W*$|\s(?:the|all|best|this)\b))\b(?!.*\s(?:is|are|was)\s)",
    FLAGS,
)
IS_ANSWER = re.compile(
    r"(.{1,80}?)\s(?:is|are)\s(?:correct|right|the (?:correct |right |final )?(?:answer|option|choice))",
    FLAGS,
)
# A remark in brackets after one of these is no remark: "It is (D)".
UNFINISHED = re.compile(
    r"\b(?:is|are|was|were|be|equals?|at|get|have|choose|option|choice|answer)$|[:=]$", FLAGS
)
NUMBER_IS = re.compile(r"([-+]?[0-9][0-9,./]*)\sis\sthe\s[a-z\s]{2,40}", FLAGS)
NAMED_OPTION = re.compile(r"\b(?:the (?:correct|right) )?(?:option|choice)\b", FLAGS)
# Negations that are themselves the answer: "It cannot be determined.", "There is no change."
NEGATIVE = re.compile(
    r"(?:it|this|the answer)\s(cannot be .{3,60}|can not be .{3,60}|depends on .{3,80})"
    r"|there (?:is|are|was|were) (no .{2,40})",
    FLAGS,
)

# What a sentence with one value and no "is" may look like; "divisible by 12" and "ends in 12" do not.
_BEGINNINGS = (
    "about in on at year ages? aged length width height total value count sum area only exactly just"
)
_VERBS = """there is are was were be has have had shows? reads? contains? gives? gave costs? spends? spent
    leaves arrives starts ends_at begins happen(?:s|ed) occur(?:s|red) equals? gets? got obtain
    counts? see saw finds? found makes? made pays? paid needs? takes? took peak(?:s|ed) stood stands
    reach(?:es|ed) sold uses? used earn(?:s|ed) measures? weighs? differ totals? choose scored
    received bought"""
GIVES = re.compile(
    rf"(?:after\s[a-z\s]{{1,40}},\s|(?:the\s)?{any_of(_BEGINNINGS)}\b|(?:.*?\s)?{any_of(_VERBS)}\s)", FLAGS
)
# After these the noun that is counted is over: "12 apples in the picture".
FUNCTION_WORDS = frozenset(
    [
        "in",
        "on",
        "at",
        "of",
        "from",
        "to",
        "for",
        "by",
        "with",
        "per",
        "and",
        "are",
        "is",
        "was",
        "were",
        "left",
        "there",
        "that",
        "which",
        "who",
        "has",
        "have",
        "had",
        "total",
        "altogether",
        "will",
        "can",
        "more",
        "each",
        "as",
        "during",
        "than",
    ]
)
# What may follow a number and its noun: "12 apples in the picture", not "12 in hex" or "12 of it".
TAIL = re.compile(
    r"(?!.*\b(?:other|another|answers?|key)\b)(?:(?:in|on|at|of|from|for|per|during|with)\s(?:the|this|that|these|those|them|total|all|each|every|an?"
    r"|his|her|their|its|our|my|one|[A-Z])\b|(?:are|is|was|were|left|there|that|who|has|have|had|total|altogether|will"
    r"|can|more|each|remaining|older|younger|old|long|wide|tall|high|deep|apart|per|needed|visible|shown|sold|[a-z]+ed)\b"
    r"|of\s(?:[a-z]{3,}s|people)\b|\W*$)",
    re.ASCII,
)
PLURAL = re.compile(
    r".*[^s']s|.*(?:ss|x|ch|sh)es|people|children|men|women|feet|fish|sheep|mice|teeth|geese", FLAGS
)

_SAYING = "indeed definitely certainly it there they he she this that the"
SAYS_FIRST = re.compile(rf"\W*[A-Za-z]+(?:\s?[,.;:!-]|\s{any_of(_SAYING)}\b)", FLAGS)
JUDGED = re.compile(
    r"(?:it|this|that|the (?:statement|claim|answer|sentence|assertion|given statement))\sis\s(true|false)",
    FLAGS,
)
SAYS = {"yes": True, "true": True, "no": False, "false": False}
_DOUBTS = "but however actually or maybe wait wrong incorrect guess sort"
SECOND_THOUGHTS = frozenset(_DOUBTS.split())
