"""The rivals, from diffusers, behind the project's own interfaces. No other room imports it."""
