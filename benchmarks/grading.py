r"""Speed of the grader, and whether hostile answers can hang it, fill the memory or leave workers behind.

    python benchmarks/grading.py [--n 20000] [--json]

plain      answers that are compared as text, choices and numbers, one thread
symbolic   different pairs of fractions, roots, pi, polynomials, equations, logarithms and unions of
           intervals, which need math-verify, in as many threads as `grade_file` uses
hostile    --n answers, of which 1% are made to hang, fill the memory or run code, 9% symbolic, 90% plain

`symbolic_per_cpu_s` is for each second of processor time, ours and the workers'. The verdict on every
answer that is not hostile is known and checked. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from vision_r1.grading import GradeSpec, Verdict, grade_response
from vision_r1.grading.parallel import map_in_order
from vision_r1.grading.symbolic import POOL

SEED = 7


@dataclass(frozen=True)
class Case:
    """A response, its gold, and whether it is right; None for a hostile one."""

    response: str
    spec: GradeSpec
    right: bool | None


@dataclass(frozen=True)
class Graded:
    """What became of a case."""

    case: Case
    verdict: Verdict
    seconds: float


# (figure, worst value that passes, whether larger is better)
TARGETS = (
    ("plain_per_s", 2000.0, True),
    ("symbolic_per_s", 150.0, True),
    ("slowest_s", 2.0, False),
    ("misjudged", 0.0, False),
    ("harmless_timeouts", 0.0, False),
    ("code_run", 0.0, False),
    ("rss_growth_mb", 64.0, False),
    ("workers_left", 0.0, False),
)


def plain_case(rng: random.Random) -> Case:
    """An answer for which math-verify is not needed."""
    a, b, right = rng.randrange(2, 1000), rng.randrange(2, 30), rng.random() < 0.5
    other = a if right else a + 1
    thought = f"<think>{'First we look at the picture. ' * 20}</think>"
    forms: Sequence[tuple[str, GradeSpec]] = (
        (f"{thought}<answer> Final Answer:{a} </answer>", GradeSpec(str(other))),
        (f"So the answer is \\boxed{{{a}.5}}.", GradeSpec(f"{other}.5")),
        (f"{thought}The answer is ({'B' if right else 'C'}).", GradeSpec("B", options=("1", "2", "3"))),
        (f"<answer>\\frac{{{a}}}{{{b}}}</answer>", GradeSpec(f"{other}/{b}")),
        (f"{thought}\n**Final Answer:** {a} blue lines", GradeSpec(f"{other} blue lines")),
    )
    response, spec = rng.choice(forms)
    return Case(response, spec, right)


def symbolic_case(rng: random.Random) -> Case:
    """An answer that only math-verify can compare."""
    a, b, c = rng.randrange(2, 60), rng.randrange(2, 60), rng.randrange(2, 9)
    right = rng.random() < 0.5
    z = 0 if right else 1
    sign = rng.choice("+-")
    forms = (
        (rf"\frac{{{a + z}\pi}}{{{7 * c}}}", rf"\frac{{{a}}}{{{7 * c}}}\pi"),
        (rf"\sqrt{{{c * c * (17 * a + 2 + z)}}}", rf"{c}\sqrt{{{17 * a + 2}}}"),
        (rf"{b * c + z}+{b + c}x+x^2", rf"(x+{b})(x+{c})"),
        (rf"y = {b}{sign}{a + z}x", rf"y={'-' if sign == '-' else ''}{a}x+{b}"),
        (rf"{c}\ln {a + z}{sign}{b}", rf"\ln {a}^{{{c}}}{sign}{b}"),
        (
            rf"({a + b + 2},{a + b + c + 3 + z})\cup({a},{a + b})",
            rf"({a},{a + b})\cup({a + b + 2},{a + b + c + 3})",
        ),
        (rf"{a}{sign}{b + z}\sqrt{{{c}}}", rf"{sign.strip('+')}{b}\sqrt{{{c}}}+{a}"),
        (rf"\frac{{{a + z}x^{{{c}}}}}{{{b}y}}", rf"\frac{{{a}}}{{{b}}}\cdot\frac{{x^{{{c}}}}}{{y}}"),
    )
    answer, gold = rng.choice(forms)
    return Case(f"<answer>{answer}</answer>", GradeSpec(gold), right)


def hostile_case(rng: random.Random, marker: Path) -> Case:
    """An answer that is made to hang, to fill the memory, to break the parser or to be run."""
    n = rng.randrange(10, 10**6)
    texts = (
        "9**9**9**9",
        f"9^{{9^{{9^{{{n}}}}}}}",
        f"{n}^{{{n}^{{9}}}}+\\pi",
        f"(x+{n})^{{99999}}",
        f"((({n}!)!)!)!",
        f"\\sin(10^{{10^{{{n}}}}})",
        f"\\log_{{2}} 7^{{7^{{7^{{{n}}}}}}}, 7^{{7^{{7^{{7}}}}}}, 8^{{8^{{8^{{8}}}}}}",
        "{" * 10_000 + str(n) + "}" * 10_000,
        "\\sqrt{" * 40 + str(n) + "}" * 40,
        str(n) * 170_000,
        "\\frac{1}{" * 25 + str(n) + "}" * 25,
        "\\frac{" * 10_000 + "1" + "}{2}" * 10_000,
        f"1e{n}999999999",
        f"{n}\\pi\x00\x00" * 10,
        f"__import__('pathlib').Path({str(marker)!r}).touch()",
        f"\\pi+__import__('os').system('touch {marker}')",
        f"\\pi+exec(open({str(marker)!r},'w'))",
        "\\left(" * 45 + "\\pi" + ")" * 5,
    )
    return Case(
        f"<answer>{rng.choice(texts)}</answer>",
        GradeSpec(rng.choice(("2\\pi", "x^2+1", "2\\pi, 3\\pi, 4\\pi"))),
        None,
    )


def different(make: Callable[[random.Random], Case], n: int) -> list[Case]:
    """`n` cases, none of them twice, so that nothing is gained by remembering an earlier one."""
    rng = random.Random(SEED)
    cases: dict[tuple[str, str], Case] = {}
    while len(cases) < n:
        case = make(rng)
        cases.setdefault((case.response, case.spec.gold), case)
    return list(cases.values())


def grade(case: Case) -> Graded:
    """Grade one, on the clock."""
    begin = time.perf_counter()
    verdict = grade_response(case.response, case.spec)
    return Graded(case, verdict, time.perf_counter() - begin)


def cpu_seconds() -> float:
    """Processor time so far of this process and its living workers."""
    workers = psutil.Process(POOL.pid).children()
    times = [process.cpu_times() for process in [psutil.Process(), *workers]]
    return sum(t.user + t.system for t in times)


def misjudged(graded: Sequence[Graded]) -> int:
    """Answers that are right and not judged so, or the other way round; timeouts are counted apart."""
    return sum(g.verdict.correct != bool(g.case.right) for g in graded if g.verdict.status != "timeout")


def measure(n: int, n_plain: int = 10_000, n_symbolic: int = 2_000) -> dict[str, float]:
    """All figures."""
    begin = time.perf_counter()
    grade(Case("<answer>\\sqrt{8}</answer>", GradeSpec("2\\sqrt{2}"), True))
    figures = {"start_s": time.perf_counter() - begin}

    plain = different(plain_case, n_plain)
    begin = time.perf_counter()
    graded = [grade(case) for case in plain]
    figures["plain_per_s"] = len(plain) / (time.perf_counter() - begin)

    symbolic = different(symbolic_case, n_symbolic)
    begin, cpu = time.perf_counter(), cpu_seconds()
    graded += map_in_order(grade, symbolic)
    figures["symbolic_per_s"] = len(symbolic) / (time.perf_counter() - begin)
    figures["symbolic_per_cpu_s"] = len(symbolic) / (cpu_seconds() - cpu)

    with tempfile.TemporaryDirectory() as folder:
        marker = Path(folder) / "run"
        rng = random.Random(SEED)
        cases = [hostile_case(rng, marker) for _ in range(n // 100)]
        cases += [symbolic_case(rng) for _ in range(9 * n // 100)]
        cases += [plain_case(rng) for _ in range(n - len(cases))]
        rng.shuffle(cases)
        process = psutil.Process()
        before = process.memory_info().rss
        begin = time.perf_counter()
        mixed = list(map_in_order(grade, cases))
        figures["hostile_run_s"] = time.perf_counter() - begin
        figures["hostile_run_per_s"] = n / figures["hostile_run_s"]
        figures["rss_mb"] = process.memory_info().rss / 2**20
        figures["rss_growth_mb"] = figures["rss_mb"] - before / 2**20
        figures["code_run"] = marker.exists()
    figures["hostile"] = sum(g.case.right is None for g in mixed)
    timeouts = [g for g in [*graded, *mixed] if g.verdict.status == "timeout"]
    figures["timeouts"] = len(timeouts)
    figures["harmless_timeouts"] = sum(g.case.right is not None for g in timeouts)
    figures["slowest_s"] = max(g.seconds for g in mixed)
    figures["slowest_harmless_s"] = max(g.seconds for g in [*graded, *mixed] if g.case.right is not None)
    figures["misjudged"] = misjudged([*graded, *mixed])

    server = psutil.Process(POOL.pid)
    workers = [server, *server.children()]
    figures["workers"] = len(workers)
    POOL.close()
    figures["workers_left"] = len(psutil.wait_procs(workers, timeout=3)[1])
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {name: float(value) for name, value in measure(options.n).items()}
    missed = [
        name for name, limit, more in TARGETS if (figures[name] < limit if more else figures[name] > limit)
    ]
    if options.json:
        print(json.dumps({**figures, "missed": missed}))
    else:
        limits = {name: f"{'at least' if more else 'at most'} {limit:g}" for name, limit, more in TARGETS}
        for name, value in figures.items():
            print(f"{name:<20}{value:12,.2f}   {limits.get(name, '')}{'  MISSED' if name in missed else ''}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
