"""Stages: toggle, compile, fit, restore the best."""
