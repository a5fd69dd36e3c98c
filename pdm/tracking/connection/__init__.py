"""Where MLflow is, how it is reached, and what its errors mean."""
