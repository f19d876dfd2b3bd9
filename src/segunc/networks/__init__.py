"""The U-Net that all models share and its convolutions, annotator sampling, and how much work a network does.

Nothing here depends on a particular model, a config or a dataset. `shape` and `work` import no torch.
"""
