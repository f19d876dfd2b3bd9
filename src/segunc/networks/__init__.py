"""The U-Net that all models share, how annotators are sampled for a training step, and how much work a network does.

Nothing here depends on a particular model, a config or a dataset. `shape` and `work` import no torch.
"""
