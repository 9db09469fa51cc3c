"""A served model's outcomes become traces, one for each request and sample, failures included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.core.seeds import derive_seed
from vision_r1.grading import GradeSpec, hfrrf
from vision_r1.problems.problem import Problem
from vision_r1.rollout.config import Sampling
from vision_r1.rollout.endpoint import EndpointEngine, chat_request, trace_of
from vision_r1.rollout.request import Request
from vision_r1.teachers.chat import ChatReply, Failure


def said(text="four", reasoning="", finish="stop", prompt=9, completion=2):
    return ChatReply(text, reasoning, finish, prompt, completion, "m-2026")


class FakeClient:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def complete(self, requests, on_done):
        self.asked += requests
        for _ in requests:
            on_done(1)
        return [self.answer(request) for request in requests]


@given(st.integers(0, 4), st.integers(1, 4), st.floats(0.1, 2), st.integers(0, 2**31))
def test_n_traces_for_each_request_in_order(count, n, temperature, seed):
    client = FakeClient(
        lambda r: Failure("transport", "broke") if r.sample_index % 2 else said(f"{r.user} {r.seed}")
    )
    requests = [Request(f"r{i}", f"question {i}") for i in range(count)]
    done = []
    traces = EndpointEngine(client, "m").complete(
        requests, Sampling(temperature=temperature, n=n), seed, done.append
    )
    assert [(t.problem_id, t.sample_index) for t in traces] == [(r.id, i) for r in requests for i in range(n)]
    assert sum(done) == len(traces)
    for trace in traces:
        if trace.sample_index % 2:
            assert (trace.stop_reason, trace.error, trace.text, trace.tokens) == ("error", "broke", "", 0)
        else:
            question = f"question {trace.problem_id[1:]}"
            wanted = derive_seed(seed, trace.problem_id, trace.sample_index)
            assert (trace.text, trace.error) == (f"{question} {wanted}", "")
            assert (trace.tokens, trace.prompt_tokens, trace.stop_reason) == (2, 9, "eos")


def test_greedy_requests_do_not_depend_on_the_seed():
    request = Request("r", "2+2?")
    one, other = (chat_request("m", request, Sampling(top_p=0.5), seed, 0) for seed in (1, 2))
    assert one.key == other.key and (one.seed, one.temperature, one.top_p) == (None, 0.0, 1.0)
    warm = [chat_request("m", request, Sampling(temperature=1.0, top_p=0.5), seed, 0) for seed in (1, 2)]
    assert warm[0].key != warm[1].key and warm[0].top_p == 0.5


@pytest.mark.parametrize(
    ("outcome", "text", "stop"),
    [
        (said(), "four", "eos"),
        (said(reasoning="two and two"), "<think>two and two</think>four", "eos"),
        (said(finish="length"), "four", "length"),
        (said(finish="max_tokens"), "four", "length"),
        (said(finish=""), "four", "eos"),
        (said(finish="content_filter"), "", "error"),
    ],
)
def test_outcomes(outcome, text, stop):
    trace = trace_of("p", 0, outcome, "m", {})
    assert (trace.text, trace.stop_reason) == (text, stop)
    assert (stop == "error") == bool(trace.error)


def test_missing_counts_are_zero():
    trace = trace_of("p", 0, said(prompt=None, completion=None), "m", {})
    assert (trace.tokens, trace.prompt_tokens) == (0, 0)


def test_a_failed_trace_is_never_rewarded():
    trace = trace_of("p", 0, Failure("transport", "broke"), "m", {})
    with pytest.raises(ValueError, match="stop reason"):
        hfrrf(trace.text, GradeSpec.of(Problem("p", "2+2?", "4")), trace.stop_reason)
