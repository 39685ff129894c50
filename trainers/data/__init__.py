"""One file per data set or format; the file name is its name on the command line."""
