"""The sections of `params.yaml`: one module for each stage."""
