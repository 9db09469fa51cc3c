"""What benchmarks ask a judge model, and how its replies are read: as text that nothing is assumed of.

The prompts have the published structure (worked examples, then the case) in our own words.
"""

from __future__ import annotations

from vision_r1.evals.benchmarks.benchmark import Ask

# MathVerse's own loop asks until it reads 0 or 1, which may be never.
TRIES = 5

_EXTRACTIONS = (
    ("Which number is missing?", "The number missing in the sequence is 14.", "14"),
    ("What is the share of women in the picture?", "The share is 0.6, six out of ten.", "0.6"),
    ("How much do both sweets cost? (Unit: $)", "Together they cost $1.45.", "1.45"),
    ("Between which two years was the peak?", "The line peaks between 2007 and 2008.", "[2007, 2008]"),
    ("What part is blue?\nChoices:\n(A) 3/11\n(B) 8/11", "The correct answer is (B) 8/11.", "B"),
    ("What are the domain and the range?", "Domain: (-3, 3]. So the range is (-4, 1].",
     "Domain: (-3, 3] Range: (-4, 1]"),
    ("Find y.", "There is not enough information to solve for y.", "null"),
)  # fmt: skip
_JUDGEMENTS = (
    ("Write the marked set in interval notation.", "(-2,1]", "(-2, 1)", "0"),
    ("Find the domain and the range.", "domain: [-4, 0), range: (-3, 1]", "range: (-4, 1]", "0"),
    ("Is this relation a function?\nChoices:\nA:It is a function\nB:It is not", "B", "It is not", "1"),
    ("How long is the rod?", "0.5 m", "50 cm", "1"),
    ("How long is BC?\nChoices:\nA:2\nB:3", "A", "null", "0"),
)


def extraction_prompt(question: str, response: str) -> str:
    """Ask for the final answer of a response."""
    shots = "\n\n".join(
        f"Question: {asked}\n\nModel response: {text}\n\nExtracted answer: {answer}"
        for asked, text, answer in _EXTRACTIONS
    )
    return (
        "Extract the final answer from the last model response. Write the answer and nothing else, or null "
        f"if there is none.\n\n{shots}\n\n{question}\n\nModel response: {response}\n\nExtracted answer: "
    )


def judgement_prompt(question: str, gold: str, answer: str) -> str:
    """Ask whether an extracted answer agrees with the gold: 1 or 0."""
    shots = "\n\n".join(
        f"[Question]: {asked}\n[Standard Answer]: {right}\n[Model_answer]: {given}\nJudgement: {verdict}"
        for asked, right, given, verdict in _JUDGEMENTS
    )
    return (
        "Does the model's answer agree with the standard answer? It must agree fully; a free-form answer may "
        f"say the same in another way. Reply 1 if it agrees, else 0.\n\n{shots}\n\n[Question]: {question}\n"
        f"[Standard Answer]: {gold}\n[Model_answer]: {answer}\nJudgement: "
    )


def ask_yes_or_no(ask: Ask, prompt: str) -> bool | None:
    """True for a reply of 1, False for 0, None if no try gave either."""
    for attempt in range(TRIES):
        reply = ask(prompt, attempt=attempt).replace("Judgement:", "").strip()
        if reply in ("0", "1"):
            return reply == "1"
    return None
