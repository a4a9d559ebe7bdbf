"""What is watched: the counters that all workers share, how they are written down, and alerts and a dashboard of them.

It may import what stands beside the rooms. Connections and requests never enter it; they add to its cells.
"""
