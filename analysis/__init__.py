"""WHAT came out: run directories to tables and rankings; needs neither torch nor ray."""
