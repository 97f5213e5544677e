"""Tests, as sentences about the product."""
