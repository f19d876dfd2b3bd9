"""A trainer of nnU-Net for trying things out: 5 epochs of 50 steps.

nnU-Net imports every file in the folder that the variable nnUNet_extTrainer names.
"""

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerShort(nnUNetTrainer):  # noqa: N801, as nnU-Net's own
    # nnU-Net reads the names of these arguments.
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 5, 50, 5
