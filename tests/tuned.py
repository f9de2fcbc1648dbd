"""Small encoders with adapters, and what tests do with them."""

import warnings

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from small_encoders import images, loss_of

from sam_mprompt.tuning.attach import attach


def tune(encoder, method="prompt", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attach(encoder, method, bottleneck=arguments.pop("bottleneck", 4), **arguments)


def adapted(encoder):
    return {
        name.removeprefix("base_model.model.")
        for name, module in encoder.named_modules()
        if isinstance(module, BaseTunerLayer)
    }


def step(encoder, learning_rate=0.01):
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=learning_rate)
    loss_of(encoder(images())).backward()
    optimizer.step()
    optimizer.zero_grad()
