"""The connection to MLflow: address, client, and the meaning of its errors."""
