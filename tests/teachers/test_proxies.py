"""What the environment may change of how an endpoint is reached: its proxy, and nothing else."""

import sys

import aiohttp
import pytest

from faulty_server import Answer, FaultyServer, echo, events, reply
from vision_r1.core.errors import InputError
from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatRequest
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.endpoint import EndpointClient
from vision_r1.teachers.request_log import RequestLog

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's own")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def log(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        yield log


def ask(url, log, prompt="a", **changes):
    with EndpointClient(EndpointConfig(url=url, transport_retries=1, **changes), log) as client:
        (found,) = client.complete([ChatRequest("m", prompt)])
    return found


@needs_linux
def test_what_netrc_holds_is_never_sent(log, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.2 login me password hunter2\ndefault login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("A_KEY", "sk-Very-Secret-0123456789")
    with FaultyServer(echo, host="127.0.0.2") as server:
        assert ask(server.url, log).text == "echo a"
        assert ask(server.url, log, "b", key_env="A_KEY").text == "echo b"
        bare, keyed = server.headers
    assert "Authorization" not in bare
    assert keyed["Authorization"] == "Bearer sk-Very-Secret-0123456789"


def test_a_proxy_of_the_environment_is_used_with_its_own_credentials(log, monkeypatch):
    with FaultyServer(echo) as proxy:
        address = proxy.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("http_proxy", f"http://me:hunter2@{address}")
        assert ask("http://models.invalid/v1", log).text == "echo a"
        (headers,) = proxy.headers
        assert headers["Host"] == "models.invalid" and headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.delenv("http_proxy")
        monkeypatch.setenv("all_proxy", address)  # without a scheme, as many set it
        assert ask("http://models.invalid/v1", log, "b").text == "echo b"
        monkeypatch.setenv("no_proxy", "other.invalid,models.invalid")
        with pytest.raises(InputError, match="cannot be reached"):
            ask("http://models.invalid/v1", log, "c")
        assert len(proxy.bodies) == 2


@needs_linux
def test_a_server_on_this_machine_is_reached_directly(log, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with FaultyServer(echo, host="127.0.0.2") as server:
        assert ask(server.url, log).text == "echo a"


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@h:1080", "http://", "http://[me:hunter2"])
def test_a_proxy_that_is_none_is_told_and_not_shown(proxy, log, monkeypatch):
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(InputError, match=r"no http proxy.*https_proxy") as raised:
        EndpointClient(EndpointConfig(url="https://models.invalid/v1"), log)
    assert "hunter2" not in str(raised.value) and "\n" not in str(raised.value)


def test_what_the_library_refuses_to_send_is_a_failure_and_no_crash(log, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("cannot combine these headers")

    monkeypatch.setattr(aiohttp.ClientSession, "post", refuse)
    found = ask("http://127.0.0.1:9/v1", log)
    assert found.kind == "transport" and "cannot combine these headers" in found.reason


def test_a_key_that_is_a_word_stays_in_what_a_model_writes(log, monkeypatch):
    monkeypatch.setenv("A_KEY", "none")
    text = "the set is none"

    def script(body, before):
        if not body["stream"] and len(server.bodies) == 2:
            return Answer(status=400, body={"error": {"message": "key none is no key"}})
        return Answer(events(text) if body["stream"] else reply(text, reasoning_content="none of them"))

    with FaultyServer(script) as server:
        found = ask(server.url, log, key_env="A_KEY")
        assert (found.text, found.reasoning) == (text, "none of them")
        assert ask(server.url, log, "b", key_env="A_KEY").reason == "HTTP 400: key *** is no key"
        assert ask(server.url, log, "c", key_env="A_KEY", stream=True).text == text
