"""One file per sweep; the file name is the sweep's name."""
