"""Runs every study of the paper."""
