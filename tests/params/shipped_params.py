"""The shipped params file, and changes of its values."""

from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(values):
        for part in path:
            values = values[part]
        values[last] = value

    return change
