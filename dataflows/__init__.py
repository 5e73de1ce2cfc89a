"""Compositions: settings in, a Bytewax dataflow out."""
