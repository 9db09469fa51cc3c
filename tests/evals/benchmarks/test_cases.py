"""The hand-built cases: the published rules with their faults, and the strict grader beside them."""

import pytest
from benchmark_rows import benchmarks, case_name, cases, item_of

from vision_r1.evals.scoring import rules_of

BENCHMARKS = benchmarks()
CASES = cases("cases_a.jsonl")


def rule_of(case):
    return rules_of(BENCHMARKS[case["benchmark"]])[case.get("rule", "official")]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_published_rule(case):
    item = item_of(BENCHMARKS[case["benchmark"]], case["row"])
    assert rule_of(case)(item, case["response"]).correct is case["official"]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_strict_grader(case):
    benchmark = BENCHMARKS[case["benchmark"]]
    assert benchmark.strict(item_of(benchmark, case["row"]), case["response"]).correct is case["strict"]


def test_every_benchmark_has_faults_and_plain_cases():
    for name in {case["benchmark"] for case in CASES}:
        own = [case for case in CASES if case["benchmark"] == name]
        assert any(case["fault"] for case in own)
        assert any(not case["fault"] and case["official"] for case in own)
