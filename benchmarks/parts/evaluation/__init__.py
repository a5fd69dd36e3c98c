"""The scores of the evaluator, against peers."""
