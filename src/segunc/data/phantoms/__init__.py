"""Images that are computed, with annotators whose disagreement is known exactly.

All lengths are in 64ths of the image's side, so that a phantom looks the same at any size.
"""
