# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for `contextlib`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Callable


class suppress:
    """Errors of these kinds end the block, and nothing else."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, _exc: object, _traceback: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


class _Managed:
    """A generator whose `yield` is the block of a `with`."""

    def __init__(self, generator: Generator[Any, None, None]) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        return next(self._generator)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _traceback: object) -> bool:
        try:
            if exc is None:
                next(self._generator)
            else:
                self._generator.throw(exc)
        except StopIteration:
            return exc is not None
        except BaseException as raised:
            if raised is exc:
                return False
            raise
        raise RuntimeError("the generator did not stop")


def contextmanager(function: Callable[..., Generator[Any, None, None]]) -> Callable[..., _Managed]:
    """Make a context manager of a generator function."""
    return lambda *arguments, **named: _Managed(function(*arguments, **named))
