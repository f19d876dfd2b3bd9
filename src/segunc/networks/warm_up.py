"""Counts training steps, for losses that begin with a simpler one."""

import torch
from torch import Tensor, nn


class WarmUp(nn.Module):
    """Whether a model is in the first `steps` steps of its training.

    The count is a buffer: it is saved with the weights, so that a run that resumes goes on where it was.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.done: Tensor
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))

    def forward(self) -> bool:
        """To be called once by each `loss`. In evaluation mode nothing is counted."""
        early = int(self.done) < self.steps
        if self.training:
            self.done += 1
        return early
