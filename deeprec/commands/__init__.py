"""The command line's verbs, their options and what they print."""
