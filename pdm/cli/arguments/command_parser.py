"""The parser of `pyramid` and of each of its commands: it answers a typing error with the nearest
name."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` that suggests the nearest command or option for an unknown one, and names
    the command that does not know an option.

    `add_subparsers` makes parsers of this class, too.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what is unknown here: `argparse` would leave it to the parser above,
        which shows its own usage and knows no option of this command."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return found, unknown

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        options = [name for name in self._option_string_actions if name.startswith("--")]
        hints = [_hint(word.partition("=")[0], options) for word in unknown if word[:1] == "-"]
        self.error(f"unrecognized arguments: {' '.join(unknown)}{''.join(hints)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _hint(str(value), map(str, action.choices or ()))
            raise


def _hint(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
