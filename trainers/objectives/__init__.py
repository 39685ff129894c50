"""One file per loss; the file name is its name in a spec."""
