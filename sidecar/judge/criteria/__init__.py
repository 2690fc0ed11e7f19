"""The kinds of criteria, one file each; `base` says what one is, `kinds` lists them. Pure."""
