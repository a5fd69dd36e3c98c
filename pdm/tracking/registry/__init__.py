"""MLflow's model registry, and the promotion rule for the champion."""
