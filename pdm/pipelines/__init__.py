"""Pipeline folders for diffusers: LDM in diffusers' own classes, other models in a custom one."""
