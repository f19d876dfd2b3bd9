"""What a grid takes before anything runs: its jobs, how long they take, what they cost, and the report of `segunc plan`.

Nothing here computes a result, and no stage imports it.
"""
