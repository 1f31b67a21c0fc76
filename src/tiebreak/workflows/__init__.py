"""Operations on finished runs: evaluate, calibrate, blend, soup, fit baselines, judge in both orders.

Each is a function with a typed result. The command line, the report and the server only render what it returns.
"""
