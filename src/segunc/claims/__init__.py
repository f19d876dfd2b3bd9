"""The study's claims as tests that were fixed before the run, with verdicts; its published numbers beside ours.

It reads scores of images and picks of active learning; it never runs a network and imports no torch.
"""
