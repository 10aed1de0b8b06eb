"""Lists and compares the runs under a folder, in the terminal or as CSV."""
