"""The pyramid's flow and its network: evaluations, operations, speed and quality, against peers."""
