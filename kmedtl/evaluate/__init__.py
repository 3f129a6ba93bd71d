"""Predictions in; metrics with intervals, plots and the report out."""
