"""The ledger against what others counted: the gateway, the platform, the invoice. Tokens first, then money.

sources  their files -> Counts by day, deployment and meter
compare  ours minus theirs, in that direction everywhere, with the likely causes by name
"""
