"""The cache of counts: it remembers numbers, never texts."""

import gc
import threading

from chargeback.tokens import count_text, counting
from chargeback.tokens.cache import CountCache, key_of

TEXT = "a confidential sentence of a customer, long enough to be kept. " * 20


def test_a_text_met_again_is_not_encoded_again(monkeypatch):
    monkeypatch.setattr(counting, "_counts", CountCache(entries=10))
    first = count_text(TEXT, "o200k_base")
    monkeypatch.setattr(counting, "tokens_of", lambda *_: 1 / 0)

    assert count_text(TEXT, "o200k_base") == first


def test_encodings_do_not_share_counts(monkeypatch):
    monkeypatch.setattr(counting, "_counts", CountCache(entries=10))
    text = "Привет, 世界! " * 50

    assert count_text(text, "o200k_base") != count_text(text, "cl100k_base")


def test_no_text_is_kept(monkeypatch):
    cache = CountCache(entries=10)
    monkeypatch.setattr(counting, "_counts", cache)
    count_text(TEXT, "o200k_base")
    kept = gc.get_referents(cache._counts)
    for held in list(kept):
        kept += gc.get_referents(held)

    assert len(cache) == 1
    assert not [held for held in kept if isinstance(held, str) and "confidential" in held]
    assert not [held for held in kept if isinstance(held, bytes) and b"confidential" in held]


def test_the_oldest_count_leaves():
    cache = CountCache(entries=2)
    keys = [key_of(letter, "o200k_base") for letter in "abc"]
    for count, key in enumerate(keys, 1):
        cache.put(key, count)

    assert [cache.get(key) for key in keys] == [None, 2, 3]


def test_threads_share_it():
    cache = CountCache(entries=50)

    def work(offset):
        for number in range(500):
            key = key_of(str((number + offset) % 80), "o200k_base")
            cache.put(key, number)
            cache.get(key)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cache) == 50


def test_lone_surrogates_have_a_key():
    assert key_of("a\ud800b", "o200k_base") != key_of("ab", "o200k_base")
