from version_numbers import compare


def test_evaluate(evaluated):
    """Every score, with its interval."""
    _, scores = evaluated
    compare("evaluate", scores)
