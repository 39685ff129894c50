"""Charts of a report, one a file: an Altair chart over named data, which the page and the figures fill with rows."""
