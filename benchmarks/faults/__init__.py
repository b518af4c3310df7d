"""Processes are killed at random under load, and what was promised for it is checked."""
