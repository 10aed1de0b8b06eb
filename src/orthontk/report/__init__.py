"""Gathers runs and judges the claims that they were made for."""
