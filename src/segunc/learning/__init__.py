"""Training and sampling: from images and a spec to weights, and from weights to samples.

Library code for the stages `train`, `sample` and those of active learning: building a network by name, devices,
checkpoints, the training loop, validation, the samples file. `passes` and `train_spec` import no torch.
"""
