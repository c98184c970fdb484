"""Turn the calls that API Management saw into a bill.

event bytes -> Capture -> Exchange -> Reply -> Usage -> Charge -> journal -> customEvents and reports

Each arrow is a module of the same name; imports only ever point to the left.
"""

__version__ = "0.1.0"
