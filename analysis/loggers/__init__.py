"""One file per way to log a sweep elsewhere; the file name is what `--log` is given."""
