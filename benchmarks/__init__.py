"""Measurements, each run by one command: `speed/` and `accuracy/` measure, `records/` holds what they found.

The pages for readers lie beside this file: speed.md, gpu.md, accuracy.md, memory.md, scaling.md, costs.md,
prompt_content.md, conv_prompt.md, thirty.md.
"""
