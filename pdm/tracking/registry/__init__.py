"""MLflow's registry of models, and the rule by which one becomes the champion."""
