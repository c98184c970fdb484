"""The vocabularies: right, offline, and proof against any text."""

import gzip
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.errors import StopError
from chargeback.replies.reply import Choice, Reply, ToolCall
from chargeback.tokens import completion_tokens, count_text, encoding_name, encodings, prompt_tokens
from chargeback.tokens.encodings import CL100K, LONGEST_PIECE, O200K, RECIPES, pieces, read_ranks

BOTH = pytest.mark.parametrize("encoding", [O200K, CL100K])


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("hello world", 2, 2),
        ("What is the capital of France?", 7, 7),
        ("Привет, 世界! 👋", 7, 11),
        ("", 0, 0),
    ],
)
def test_known_vectors(text, o200k, cl100k):
    assert (count_text(text, O200K), count_text(text, CL100K)) == (o200k, cl100k)


def test_special_tokens_in_text_count_as_what_was_typed():
    assert count_text("hi <|endoftext|> there <|im_start|>", O200K) == 15


@pytest.mark.parametrize(
    ("model", "encoding", "assumed"),
    [
        ("gpt-4o-mini-2024-07-18", O200K, False),
        ("azure/GPT-4.1", O200K, False),
        ("ft:gpt-4o:acme", O200K, False),
        ("o5-pro", O200K, False),
        ("gpt-6-astra", O200K, False),
        ("gpt-35-turbo", CL100K, False),
        ("gpt-4-0613", CL100K, False),
        ("text-embedding-ada-002-v2", CL100K, False),
        ("davinci:2023-07-21-v2", CL100K, False),
        ("our-chat", O200K, True),
        ("ollama", O200K, True),
        ("", O200K, True),
        (None, O200K, True),
    ],
)
def test_model_names_decide_the_encoding(model, encoding, assumed):
    assert encoding_name(model) == (encoding, assumed)


def test_patterns_and_digests_are_those_of_tiktoken(monkeypatch):
    from tiktoken_ext import openai_public

    expected = {}
    monkeypatch.setattr(
        openai_public,
        "load_tiktoken_bpe",
        lambda _url, expected_hash: expected.update(sha256=expected_hash) or {},
    )
    for name, recipe in RECIPES.items():
        theirs = getattr(openai_public, name)()

        assert (recipe.pattern, recipe.sha256) == (theirs["pat_str"], expected["sha256"])


@BOTH
@pytest.mark.parametrize("unit", [" ", "a", "7", "👋", "\u00a0", "世", "<|endoftext|>", "\n", "\ud800"])
def test_a_million_characters_of_one_kind_are_counted_in_bounded_time(unit, encoding):
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    count_text("warm", encoding)
    started = time.perf_counter()

    assert count_text(text, encoding) > 0
    assert time.perf_counter() - started < 15


@BOTH
def test_cutting_prose_changes_no_count(encoding):
    text = "The quick brown fox jumps over\nthe lazy dog, again and again; so it goes. " * 2_000

    assert len(list(pieces(text))) > 1
    assert count_text(text, encoding) == len(encodings._tokenizer(encoding).encode_ordinary(text))


@BOTH
@pytest.mark.parametrize("unit", [" ", "\t", "a", "7", "123", "👋", "世", "\n"])
def test_cutting_a_run_changes_no_count(unit, encoding):
    text = unit * (3 * LONGEST_PIECE // len(unit))

    assert count_text(text, encoding) == len(encodings._tokenizer(encoding).encode_ordinary(text))


def test_a_text_without_a_break_is_noted_and_prose_is_not():
    def notes(text):
        return prompt_tokens("chat", {"messages": [{"role": "user", "content": text}]}, "gpt-4o").notes

    assert "endless_word_close" in notes("x" * (LONGEST_PIECE + 1))
    assert "endless_word_close" not in notes("x" * LONGEST_PIECE)
    assert "endless_word_close" not in notes("a word " * LONGEST_PIECE)


@pytest.mark.parametrize("unit", [" ", "<|endoftext|>"])
def test_a_million_characters_anywhere_in_a_call_end_no_estimate(unit):
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": text}}
    tool = {"name": "f", "description": text, "parameters": {"properties": {"a": {"enum": [text]}}}}
    request = {
        "messages": [{"role": "user", "content": text}, {"role": "assistant", "tool_calls": [call]}],
        "tools": [{"type": "function", "function": tool}],
    }
    answer = Choice(content=text, tool_calls=(ToolCall(name="f", arguments=text),), finish_reason="stop")
    started = time.perf_counter()

    assert prompt_tokens("chat", request, "gpt-4o").tokens > 4_000
    assert completion_tokens(Reply(operation="chat", choices=(answer,)), request, "gpt-4o").tokens > 2_000
    assert time.perf_counter() - started < 15


@given(st.text(alphabet="ab \n,", min_size=0, max_size=400))
def test_pieces_are_the_text_and_never_too_long(text):
    long = text * (LONGEST_PIECE // 100)
    cut = list(pieces(long))

    assert "".join(cut) == long
    assert all(len(piece) <= LONGEST_PIECE for piece in cut)


def test_an_altered_vocabulary_stops_the_worker(monkeypatch):
    monkeypatch.setattr(encodings, "packaged_bytes", lambda _name: gzip.compress(b"IQ== 0\n"))

    with pytest.raises(StopError, match=r"o200k_base\.tiktoken\.gz has sha256 .* expected"):
        read_ranks(O200K)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x")[:10] + b"\xff" * 20]
)
def test_a_broken_vocabulary_stops_the_worker(monkeypatch, content):
    monkeypatch.setattr(encodings, "packaged_bytes", lambda _name: content)

    with pytest.raises(StopError, match="build_vocabulary"):
        read_ranks(CL100K)


def test_a_missing_vocabulary_stops_the_worker(monkeypatch):
    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(encodings, "packaged_bytes", missing)

    with pytest.raises(StopError, match="cannot be read"):
        read_ranks(CL100K)


def test_counting_needs_no_network(monkeypatch):
    def blocked(*_args, **_options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    encodings._build.cache_clear()

    assert count_text("hello world", O200K) == 2


def test_many_threads_build_one_encoding():
    encodings._build.cache_clear()
    threads = [threading.Thread(target=count_text, args=("hello", CL100K)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert encodings._build.cache_info().misses == 1


def test_importing_the_counting_loads_no_tokenizer():
    code = "import sys, chargeback.tokens; print('tiktoken' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
