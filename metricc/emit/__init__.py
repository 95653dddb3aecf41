"""Targets: one module each, from an `ir.Program` to the text of a source file."""
