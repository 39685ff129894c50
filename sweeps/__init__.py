"""WHAT to run and in what order."""
