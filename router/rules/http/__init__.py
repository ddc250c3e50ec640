"""Function and webhook rules over HTTP: the only part of the rules that reaches out."""
