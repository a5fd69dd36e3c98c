"""LDM's and StableSR's networks behind the project's interfaces.

The only package that imports diffusers.
"""
