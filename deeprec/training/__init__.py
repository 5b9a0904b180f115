"""Fitting models to vectors."""
