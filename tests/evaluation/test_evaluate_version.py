from shared.version_numbers import assert_numbers_of_version


def test_evaluate_computes_the_numbers_of_its_version(evaluated):
    """Every score, with its interval."""
    _, scores = evaluated
    assert_numbers_of_version("evaluate", scores)
