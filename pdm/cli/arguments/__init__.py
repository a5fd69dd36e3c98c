"""The command line: names, flags and help of every command."""
