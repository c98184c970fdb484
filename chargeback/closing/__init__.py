"""Closing a month: what stands in its way, and the record that ends all discussion.

open ──month is over──> draft ──grace is over, nothing in the way──> closed
"""
