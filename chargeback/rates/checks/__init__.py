"""What the rows of a table must mean together: one small function a rule, all of them in this list."""

from chargeback.rates.checks import meters, names, offers, pools, spans

CHECKS = (*spans.CHECKS, *names.CHECKS, *meters.CHECKS, *offers.CHECKS, *pools.CHECKS)
