"""How both trainings run, what they start from, and how a flow is distilled afterwards."""
