"""Progress of long work, told to whoever watches; the work knows neither terminal nor clock."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

_Item = TypeVar("_Item")


class Watch(Protocol):
    """Called around the items of long work, and hands them on as they are."""

    def __call__(self, what: str, items: Iterable[_Item], total: int, /) -> Iterable[_Item]: ...


def unwatched(_what: str, items: Iterable[_Item], _total: int, /) -> Iterable[_Item]:
    """Nobody looks."""
    return items
